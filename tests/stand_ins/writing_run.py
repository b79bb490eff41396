"""A run in a process of its own that holds the Lease and writes without end, for tests to freeze or kill.

Nothing but the server keeps it from writing: it never asks whether it still holds the Lease.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flows.config.load import CHECKOUT
from flows.core.errors import FenceLost
from flows.core.release.environment_state import EnvironmentState, Hold
from flows.services.kubernetes import lease
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.release_store import Records
from tests.support.waiting import wait_until

LOST = 3
"""Its exit status when the server let in no more of what it wrote."""


@dataclass(frozen=True)
class WritingRun:
    """The process; what it writes is the reason of the environment's hold, counted up."""

    process: subprocess.Popen[bytes]
    cluster: Cluster
    holder: str

    def await_writes(self) -> None:
        """Return when it has written."""

        def has_written() -> bool:
            hold = Records(self.cluster).notes().hold
            return hold is not None and hold.by == self.holder

        wait_until(has_written, f"{self.holder} has not written")


@contextmanager
def writing_run(cluster: Cluster, holder: str, duration: int) -> Iterator[WritingRun]:
    """Such a run, ended with the context."""
    arguments = (str(cluster.kubeconfig), cluster.context, cluster.namespace, holder, str(duration))
    process = subprocess.Popen([sys.executable, "-m", __name__, *arguments], cwd=CHECKOUT)
    try:
        yield WritingRun(process, cluster, holder)
    finally:
        process.kill()
        process.wait()


def main(kubeconfig: str, context: str, namespace: str, holder: str, duration: str) -> int:
    """Write until the server refuses."""
    cluster = Cluster(Path(kubeconfig), context, namespace, "web", lease_duration=int(duration))
    records = Records(cluster)
    count = 0
    try:
        with lease.acquire(cluster, holder, 0, print) as held:
            while True:
                count += 1
                records.write_notes(EnvironmentState(Hold(datetime.now(UTC), holder, str(count))), held.fence)
    except FenceLost:
        return LOST


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
