"""The deployments of prefect.yaml, made known to the server when something about them changed."""

import hashlib
import json
from pathlib import Path

from deployments.local.instance import Instance
from deployments.local.prefect import subprocesses
from deployments.local.progress import Say
from deployments.prefect.api import PrefectApi
from deployments.prefect.work_pool import RETIRED
from flows.config.load import Settings
from flows.config.on_prefect import variables_of


def ensure(instance: Instance, settings: Settings, api: PrefectApi, say: Say) -> bool:
    """Whether anything had to be registered. `PlatformFailed` has what Prefect says against prefect.yaml.

    What was registered is remembered with the ids that the server gave: a new database, or a deployment
    deleted in the UI, makes it happen again.
    """
    variables = variables_of(settings)
    memory = instance.state / "registered.json"
    fingerprint = _fingerprint(instance.checkout, variables)
    if memory.exists() and json.loads(memory.read_text()) == [fingerprint, _ids(api)]:
        return False
    say("prefect deploy --all")
    for name, value in variables.items():
        api.ensure_variable(name, value)
    subprocesses.run(
        instance,
        *("prefect", "--no-prompt", "deploy", "--all"),
        failed="prefect.yaml can't be deployed",
        remedy="Correct prefect.yaml, then run this again.",
    )
    memory.write_text(json.dumps([fingerprint, _ids(api)]))
    return True


def _ids(api: PrefectApi) -> dict[str, str]:
    """Without those that are deleted as soon as no automation starts them any more."""
    return {name: found for name, found in api.deployment_ids().items() if name not in RETIRED}


def _fingerprint(checkout: Path, variables: dict[str, str]) -> str:
    """Changes with whatever a deployment is made from: signatures and docstrings of flows included."""
    content = hashlib.sha256(repr(sorted(variables.items())).encode())
    for file in (checkout / "prefect.yaml", *sorted((checkout / "flows").rglob("*.py"))):
        content.update(file.read_bytes())
    return content.hexdigest()
