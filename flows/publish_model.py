"""Publish a trained model: without a commit, whenever data scientists have one."""

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.core.trigger.run_labels import model_tag
from flows.runtime import tasks
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show


@flow(name="publish-model", flow_run_name="publish {name} {version}")
@returns_failed_state
def publish_model(file: Path, name: str, version: str) -> State[None]:
    """Check a model, and publish it to the store; the next CI run builds an image with it.

    Args:
        file: the ONNX file, with manifest.json beside it, or the folder of both, on the worker's machine.
        name: of the model, as [model] name in slipway.toml says.
        version: a new one; a published version never changes.
    """
    report = Rows()
    with run_context("publish-model", report) as run:
        show(run, f"publish {name} {version}", model_tag(name, version))
        described = tasks.describe_model(run, file, name, version)
        report |= {"model": described.model, "digest": described.digest, "bytes": described.size}
        tasks.validate_model(run, file, described)
        published = tasks.upload_model(run, file, described)
        report |= {"version in the store": published.model.stored, "outcome": published}
        return Completed(message=f"{published}.")
