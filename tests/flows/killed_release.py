"""A release that is killed (SIGKILL) at a chosen point, for tests to start as a process of its own:

python -m tests.flows.killed_release POINT IMAGE

With `back` for the image it is a rollback.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from flows.services.kubernetes.cluster import Cluster
from flows.services.verification import soak

APPLY = Cluster.apply
BACK = "back"


def die(*_: Any, **__: Any) -> None:
    """As when the machine loses its power."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_half_way(cluster: Cluster, objects: Any, *how: Any, **also: Any) -> None:
    """One object is applied, the others are not."""
    APPLY(cluster, objects[:1], *how, **also)
    die()


def die_while_undoing(cluster: Cluster, objects: Any, *how: Any, **also: Any) -> None:
    """The release itself is applied; what is put back after it failed, only in part."""
    Cluster.apply = die_half_way  # type: ignore[method-assign, assignment]  # this process is made to be spoilt
    APPLY(cluster, objects, *how, **also)


POINTS: dict[str, Callable[..., None]] = {
    "after the record": die,
    "in the middle of apply": die_half_way,
    "while undoing": die_while_undoing,
}


def main(point: str, image: str) -> None:
    """Release to staging until then."""
    if point == "during soak":
        soak.soak = die  # type: ignore[assignment]  # as above
    else:
        Cluster.apply = POINTS[point]  # type: ignore[method-assign]  # as above
    # here, as the table of tasks takes what is there by now
    from flows.release import release  # noqa: PLC0415
    from flows.rollback import rollback  # noqa: PLC0415

    if image == BACK:
        rollback(environment="staging", reason="a test", by="Ada")
    else:
        release(environment="staging", image=image, force=True, reason="a test", by="Ada")


if __name__ == "__main__":
    main(*sys.argv[1:])
