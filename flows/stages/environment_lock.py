"""The lock of an environment: every stage that changes the environment needs it."""

from dataclasses import dataclass

from flows.services.kubernetes.lease import HeldLease


@dataclass(frozen=True)
class EnvironmentLock:
    """An environment's Lease, held by this run: the API server refuses the writes of every other run."""

    environment: str
    held: HeldLease
