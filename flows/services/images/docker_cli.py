"""The docker command to use: building needs BuildKit, which not every client on the PATH can drive."""

import shutil
import subprocess
from functools import cache

from flows.core.errors import PermanentError

ANSWER_WITHIN = 10


@cache
def docker_command() -> tuple[str, ...]:
    """The first docker client found that builds with BuildKit; `PermanentError` where there is none."""
    for path in (shutil.which("docker"), "/usr/bin/docker", "/usr/local/bin/docker"):
        if path and shutil.which(path) and _drives_buildkit(path):
            return (path,)
    raise PermanentError(
        "No docker client on this machine builds with BuildKit.",
        "Install Debian's docker.io, or the buildx plugin beside the client there is.",
    )


def _drives_buildkit(path: str) -> bool:
    """A client before 23 has it built in; a later one needs the buildx plugin."""
    said = subprocess.run(
        [path, "version", "--format", "{{.Client.Version}}"],
        capture_output=True,
        text=True,
        timeout=ANSWER_WITHIN,
        check=False,
    ).stdout
    if said and int(said.split(".")[0]) < 23:
        return True
    plugin = subprocess.run(
        [path, "buildx", "version"], capture_output=True, timeout=ANSWER_WITHIN, check=False
    )
    return plugin.returncode == 0
