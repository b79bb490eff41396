"""Platforms apart from the one of `make run`, with free ports: of the tests, and of the benchmarks."""

import fcntl
import hashlib
import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from deployments.local.commands import stop
from deployments.local.commands.cleanup import PREFIX, remove_abandoned_tests
from deployments.local.docker.engine import connect
from deployments.local.instance import Instance
from deployments.local.platform_file import mark_state_folder
from deployments.local.preflight import is_taken
from flows.config.load import CHECKOUT
from flows.config.schema import Embedded

KEEP = "SLIPWAY_TEST_KEEP"

LANES = ("", "flows", "beside", "bench")
"""What may go on side by side in one checkout: see the Makefile."""


@contextmanager
def instance_apart(lane: str) -> Iterator[Instance]:
    """One of which nothing runs yet; each lane of a checkout has its own, and one process it at a time.

    It is removed at the end. With SLIPWAY_TEST_KEEP=1 it stays, and is what the next one begins with.
    """
    name = f"{PREFIX}{hashlib.sha256(f'{CHECKOUT}{lane}'.encode()).hexdigest()[:8]}"
    state = CHECKOUT / f".slipway-test{lane and f'-{lane}'}"
    with (Path(gettempdir()) / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_abandoned_tests(connect())
        found = Instance(name, CHECKOUT, state, _ports(name, state, lane))
        if KEEP not in os.environ:
            stop.delete(found)  # what a process left that was killed
        mark_state_folder(state)
        (state / "ports.json").write_text(found.ports.model_dump_json())
        try:
            yield found
        finally:
            if KEEP not in os.environ:
                stop.delete(found)


def _ports(name: str, state: Path, lane: str) -> Embedded:
    """Those of the process before if its platform was kept, else free ones.

    They are below those that clients of this machine are given by chance, and apart for lanes side by side.
    """
    file = state / "ports.json"
    kept = json.loads(file.read_text()) if KEEP in os.environ and file.exists() else {}
    keys = [key for key in Embedded.model_fields if key.endswith("_port")]
    first = 20_000 + 3_000 * LANES.index(lane)
    free = (port for port in random.sample(range(first, first + 3_000), 200) if not is_taken(port))
    return Embedded(**{"name": name, **dict(zip(keys, free, strict=False)), **kept})
