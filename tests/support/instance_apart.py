"""Platforms apart from the one of `make run`, with free ports: of the tests, and of the benchmarks."""

import fcntl
import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
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
from tests.support import worker

KEEP = "KEEP"
"""Set: the platform stays when its process ends, and the next one begins with it."""

SHARED = "TEST_PLATFORM"
"""The state folder of a platform that another process, `tests.support.session`, has brought up."""

NONE = "TEST_WITHOUT_PLATFORM"
"""Set: a test that asks for a platform fails, as its session brings one up meanwhile."""

LANES = ("", "bench")
"""What may go on side by side in one checkout."""


@contextmanager
def instance_apart(lane: str = "") -> Iterator[Instance]:
    """One of which nothing runs yet; each lane of a checkout has its own, and one process it at a time.

    It is removed at the end, unless it is to be kept. What a killed process left is removed first.
    """
    name = f"{PREFIX}{hashlib.sha256(f'{CHECKOUT}{lane}'.encode()).hexdigest()[:8]}"
    state = CHECKOUT / f".slipway-test{lane and f'-{lane}'}"
    with _alone(Path(gettempdir()) / f"{name}.lock"):
        remove_abandoned_tests(connect())
        found = Instance(name, CHECKOUT, state, _ports(name, state, lane))
        if KEEP not in os.environ:
            stop.delete(found)
        mark_state_folder(state)
        (state / "ports.json").write_text(found.ports.model_dump_json())
        try:
            yield found
        finally:
            if KEEP not in os.environ:
                stop.delete(found)


def shared_instance() -> Instance | None:
    """The platform that is up already for all processes of this session, if there is one."""
    if SHARED not in os.environ:
        return None
    state = Path(os.environ[SHARED])
    ports = Embedded.model_validate_json((state / "ports.json").read_text())
    return Instance(ports.name, CHECKOUT, state, ports)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Wait for the lock, and say who holds it since when."""
    with file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read_text().strip()
            print(
                f"The test platform of this checkout is in use by {holder}. Waiting until it ends.",
                flush=True,
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(f"process {os.getpid()} since {datetime.now():%Y-%m-%d %H:%M:%S}")
        lock.flush()
        yield


def _ports(name: str, state: Path, lane: str) -> Embedded:
    """Those of the process before if its platform was kept, else free ones.

    They are below those that clients of this machine are given by chance, and apart for lanes side by side.
    """
    file = state / "ports.json"
    if KEEP in os.environ and file.exists():
        return Embedded.model_validate_json(file.read_text())
    keys = [key for key in Embedded.model_fields if key.endswith("_port")]
    first = 20_000 + 3_000 * LANES.index(lane)
    free = [port for port in random.sample(range(first, first + 3_000), 200) if not is_taken(port)]
    listening = worker.listeners(free[len(keys) : len(keys) + len(worker.node_ports())])
    return Embedded(**{"name": name, "listeners": listening, **dict(zip(keys, free, strict=False))})
