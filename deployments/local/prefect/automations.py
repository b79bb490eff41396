"""Prefect's automations on the platform's server: see deployments/prefect/automations.py."""

from deployments.local.instance import Instance
from deployments.local.prefect import subprocesses
from deployments.local.progress import Say


def ensure(instance: Instance, say: Say) -> None:
    """Have them as the code names them; `PlatformFailed` where the block for notifications is missing."""
    done = subprocesses.run(
        instance, "deployments.prefect.automations", failed="The automations are not all in place"
    )
    for line in done.splitlines():
        say(line)
