import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.classifier import load
from app.serve import create_app
from tests.app.server import Server

MODELS = Path(__file__).parent / "models"


@pytest.fixture(scope="session")
def digits() -> Path:
    """The model directory of a classifier of handwritten digits: grey, 8 x 8."""
    return MODELS / "digits"


@pytest.fixture(scope="session")
def colours() -> Path:
    """The model directory of a classifier that says whether a picture is more red or more blue."""
    return MODELS / "colours"


@pytest.fixture(scope="session")
def three(digits: Path) -> bytes:
    """A PNG of a handwritten three."""
    (example,) = (
        e for e in json.loads((digits / "manifest.json").read_bytes())["examples"] if e["name"] == "3.png"
    )
    return b64decode(example["input"])


@pytest.fixture(scope="session")
def digits_client(digits: Path) -> FlaskClient:
    return client(digits)


@pytest.fixture(scope="session")
def colours_client(colours: Path) -> FlaskClient:
    return client(colours)


def client(model: Path) -> FlaskClient:
    return create_app(load(model)).test_client()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers, and ends them after the tests."""
    started: list[Server] = []

    def start(model: Path, serves: str = "", **environment: str) -> Server:
        started.append(Server.start(tmp_path_factory.mktemp("server"), model, serves, **environment))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def server(serve: Callable[..., Server], digits: Path) -> Server:
    """A running server, for the tests that leave it running."""
    server = serve(digits)
    server.wait_until(server.is_ready)
    return server
