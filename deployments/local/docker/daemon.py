"""The machine's docker daemon: found, or started where this user may."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from deployments.local.docker.engine import connect
from deployments.local.progress import Say
from deployments.local.wait import wait_until
from flows.core.errors import EngineUnavailable, PlatformFailed

SOCKET = Path("/var/run/docker.sock")
LOG = Path("/var/log/dockerd.log")
START_TIMEOUT = 30


def obstacle() -> str | None:
    """What keeps this user from using or starting the daemon, with the remedy; None if nothing does."""
    host = os.environ.get("DOCKER_HOST")
    if answers():
        return None
    if host:
        return f"No docker daemon answers at DOCKER_HOST={host}. Start it, or unset that variable."
    if os.geteuid() == 0:
        return None
    if SOCKET.exists() and not os.access(SOCKET, os.W_OK):
        return (
            f"This user may not use the docker daemon ({SOCKET}). "
            "Run `sudo usermod -aG docker $USER`, and log in again."
        )
    return "No docker daemon runs, and only root can start it. Run: sudo service docker start"


def ensure(say: Say) -> None:
    """The daemon, started if need be: as the system does it or else by hand.

    Not every machine has a service manager that may do it. `PlatformFailed` names the daemon's log.
    """
    if answers():
        return
    services = [["systemctl", "start", "docker"]] if Path("/run/systemd/system").exists() else []
    for command in (*services, ["service", "docker", "start"]):
        say(f"starting it: {' '.join(command)}")
        if _succeeds(command) and _comes_up():
            return
    say(f"starting it: dockerd (it stays; its log: {LOG})")
    _detach(["dockerd"])
    wait_until(answers, START_TIMEOUT, "dockerd does not answer", f"Read {LOG}, then run this again.")


def answers() -> bool:
    """Whether a daemon can be used."""
    try:
        connect().close()
    except EngineUnavailable:
        return False
    return True


def data_folder() -> Path:
    """Where it keeps images and volumes."""
    with suppress(EngineUnavailable):
        return Path(str(connect().info()["DockerRootDir"]))
    return Path("/var/lib/docker")


def _succeeds(command: list[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def _comes_up() -> bool:
    with suppress(PlatformFailed):
        wait_until(answers, 10, "")
        return True
    return False


def _detach(command: list[str]) -> None:
    """Start it detached, in a session of its own: it outlives this program and its terminal."""
    with LOG.open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True
        )
