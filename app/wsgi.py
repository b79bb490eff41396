"""What each of gunicorn's workers loads."""

import os
from pathlib import Path

from flask import Flask
from gunicorn.errors import AppImportError

from app.classifier import Classifier
from app.model import ModelRejected, open_model
from app.serve import create_app


def application() -> Flask:
    """The application with the model of MODEL_DIR, warmed up: a worker takes no request before it is.

    A model that can't be served ends the whole server, where other errors would restart the worker for ever.
    """
    try:
        classifier = Classifier(open_model(Path(os.environ["MODEL_DIR"])))
        app = create_app(classifier)
        classifier.warm_up()
    except ModelRejected as error:
        raise AppImportError(error) from error
    return app
