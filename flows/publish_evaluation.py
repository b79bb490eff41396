"""Publish a golden set: labelled examples that every new image is asked before `latest` moves."""

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.runtime import tasks
from flows.runtime.artifacts import Rows
from flows.runtime.flow_context import run_context
from flows.runtime.flow_errors import returns_failed_state
from flows.runtime.run_labels import show


@flow(name="publish-evaluation", flow_run_name="publish golden set {name} {version}")
@returns_failed_state
def publish_evaluation(folder: Path, name: str, version: str = "") -> State[None]:
    """Check a golden set, and publish it to the store; the next duel asks its examples.

    Args:
        folder: manifest.json and the inputs that it names, on the worker's machine.
        name: of the model, as [model] name in slipway.toml says.
        version: a new one; a published version never changes. By default, the hash of the content.
    """
    report = Rows()
    with run_context("publish-evaluation", report) as run:
        packed = tasks.pack_golden_set(run, folder, name, version)
        golden = packed.golden
        show(run, f"publish {golden}")
        report |= {
            "golden set": golden,
            "examples": len(golden.examples),
            "digest": golden.manifest_digest,
            "bytes": golden.size,
        }
        report |= {"labels": tasks.check_labels(run, packed) or "all known to the newest model"}
        published = tasks.upload_golden_set(run, packed)
        report |= {"outcome": published}
        return Completed(message=f"{published}.")
