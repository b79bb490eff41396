"""`make test-fast`: what needs no platform, side by side; the output of each comes in one piece.

python -m tests.support.fast
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flows.config.load import CHECKOUT
from tests.support.instance_apart import NONE
from tests.support.lanes import NOT_FAST

WORKERS = 3
"""Processes of the tests: one more than processors, as some tests wait for a server. Each begins with a
contiguous part, so that a server that a file starts is started once."""

PROGRAMS = Path(sys.executable).parent

CHECKS = {
    "types": ("mypy",),
    "tests": (
        *("pytest", "-m", "not platform and not slow", "--numprocesses", str(WORKERS), "--dist", "worksteal"),
        *(f"--ignore=tests/{folder}" for folder in NOT_FAST),
    ),
    "lint": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "contracts": ("lint-imports",),
    "words": (".ci/words",),
    "remedies": (".ci/remedies",),
    "secrets": (sys.executable, ".ci/secrets"),
}


def main() -> int:
    """Exit status: 0 when all passed."""
    with ThreadPoolExecutor() as pool:
        return max(pool.map(_run, CHECKS, CHECKS.values()))


def _run(name: str, command: tuple[str, ...]) -> int:
    """0 if the check passed, 1 if it failed."""
    began = time.monotonic()
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["env", f"PATH={path}", f"{NONE}=yes", *command],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    failed = ended.returncode != 0
    words = f"FAILED with status {ended.returncode}" if failed else "passed"
    shown = ended.stdout.strip().splitlines() if failed else ended.stdout.strip().splitlines()[-1:]
    print("\n".join([*shown, f"{name} {words} after {time.monotonic() - began:.0f} s"]), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
