"""The state of a rollout: done, under way, or failed."""

from dataclasses import dataclass

from flows.core.errors import Fault


@dataclass(frozen=True)
class Done:
    """All replicas are new and available, and no old pod is left, not even one that is ending."""

    replicas: int


@dataclass(frozen=True)
class Progressing:
    """It may still succeed. `waiting` says what it waits for, `fault` what is at fault if that does not come.

    `coming` says which room or image is on its way, "" where none is: that time does not count.
    """

    waiting: str
    fault: Fault = "infrastructure"
    coming: str = ""


@dataclass(frozen=True)
class Failed:
    """It can't succeed by itself: the cause, the pod and container where that was seen, if any, the fault.

    It counts once it has lasted for `patience` seconds in which no pod came or went. `for_room` is True where
    the pod waits only for room.
    """

    cause: str
    pod: str = ""
    fault: Fault = "infrastructure"
    patience: float = 0.0
    container: str = ""
    for_room: bool = False
    remedy: str = ""
    """What to do, where the fault does not say enough."""


RolloutState = Done | Progressing | Failed
