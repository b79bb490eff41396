"""The address at which a cloud gives this machine's identity is closed to the engine's containers.

Builds, tests and pods run in them. The machine itself still reaches the address: its own identity may be what
the worker signs in with. The rule is in docker's chain for users, which the daemon leaves alone, and is gone
when the machine restarts; `make run` makes it again.
"""

import os
import subprocess

from deployments.local.progress import Say

ADDRESS = "169.254.169.254"
CHAIN = "DOCKER-USER"
RULE = (CHAIN, "--destination", f"{ADDRESS}/32", "--jump", "REJECT")
TIMEOUT = 30


def ensure(say: Say) -> None:
    """Close the address where the engine is this machine's and this user may; else say what is to be done."""
    if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:"):
        return
    if os.geteuid() != 0:
        say(f"containers may reach {ADDRESS}; to close it, run as root: iptables --insert {' '.join(RULE)}")
        return
    close(say)


def close(say: Say) -> None:
    """Have the machine forward nothing to the address, which concerns its containers alone."""
    if _iptables("--check").returncode == 0:
        return
    inserted = _iptables("--insert")
    if inserted.returncode != 0:
        say(f"containers may reach {ADDRESS}, which could not be closed: {inserted.stderr.strip()}")


def _iptables(action: str) -> subprocess.CompletedProcess[str]:
    command = ["iptables", "--wait", action, *RULE]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
