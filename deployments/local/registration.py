"""The deployments of prefect.yaml, made known to the server when something about them changed."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from deployments.local.instance import Instance
from deployments.local.prefect_api import PrefectApi
from deployments.local.prefect_server import flow_environment
from deployments.local.progress import Say
from flows.core.errors import PlatformFailed
from flows.settings import Settings


def ensure(instance: Instance, settings: Settings, api: PrefectApi, say: Say) -> bool:
    """Whether anything had to be registered. `PlatformFailed` tells what Prefect says against prefect.yaml.

    What was registered is remembered with the ids that the server gave: a new database, or a deployment
    deleted in the UI, makes it happen again.
    """
    variables = {
        "slipway_nightly": settings.schedule.nightly,
        "slipway_nightly_by": settings.schedule.nightly_by,
        "slipway_timezone": settings.timezone,
    }
    memory = instance.state / "registered.json"
    fingerprint = _fingerprint(instance.checkout, variables)
    if memory.exists() and json.loads(memory.read_text()) == [fingerprint, api.deployment_ids()]:
        return False
    say("prefect deploy --all")
    for name, value in variables.items():
        api.ensure_variable(name, value)
    _deploy(instance)
    memory.write_text(json.dumps([fingerprint, api.deployment_ids()]))
    return True


def _fingerprint(checkout: Path, variables: dict[str, str]) -> str:
    """Changes with whatever a deployment is made from: signatures and docstrings of flows included."""
    content = hashlib.sha256(repr(sorted(variables.items())).encode())
    for file in (checkout / "prefect.yaml", *sorted((checkout / "flows").rglob("*.py"))):
        content.update(file.read_bytes())
    return content.hexdigest()


def _deploy(instance: Instance) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    deployed = subprocess.run(
        command,
        cwd=instance.checkout,
        env=flow_environment(instance) | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if deployed.returncode:
        raise PlatformFailed(
            f"prefect.yaml can't be deployed: {(deployed.stdout + deployed.stderr).strip()[-2000:]}",
            "Mend it, then run this again.",
        )
