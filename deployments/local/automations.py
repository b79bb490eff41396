"""Prefect's automations on the platform's server: see deployments/automations.py."""

import subprocess
import sys

from deployments.local.instance import Instance
from deployments.local.prefect_server import flow_environment
from deployments.local.progress import Say
from flows.core.errors import PlatformFailed


def ensure(instance: Instance, say: Say) -> None:
    """Have them as the code names them; `PlatformFailed` where the block for notifications is missing."""
    made = subprocess.run(
        [sys.executable, "-m", "deployments.automations"],
        cwd=instance.checkout,
        env=flow_environment(instance),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if made.returncode:
        raise PlatformFailed(f"The automations are not all in place: {made.stderr.strip()[-1000:]}")
    for line in made.stdout.splitlines():
        say(line)
