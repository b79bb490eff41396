"""Programs that use Prefect's own client, each in a process that alone pays for importing it."""

import subprocess
import sys

from deployments.local.instance import Instance
from deployments.local.prefect.server import flow_environment
from flows.core.errors import PlatformFailed

TIMEOUT = 120
"""Seconds, on a busy machine."""

FOR_READERS = {"COLUMNS": "200", "NO_COLOR": "1"}


def run(instance: Instance, *module: str, failed: str, remedy: str = "", given: str = "") -> str:
    """What `python -m` with that module and its arguments prints; it reads `given`, which may be secret.

    `PlatformFailed` begins with what has `failed`, and goes on with the program's own last words.
    """
    ended = subprocess.run(
        [sys.executable, "-m", *module],
        input=given,
        cwd=instance.checkout,
        env=flow_environment(instance) | FOR_READERS,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if ended.returncode:
        raise PlatformFailed(f"{failed}: {(ended.stdout + ended.stderr).strip()[-2000:]}", remedy)
    return ended.stdout
