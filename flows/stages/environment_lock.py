"""The lock that every stage which changes an environment is given."""

from dataclasses import dataclass

from flows.services.kubernetes.lease import HeldLease


@dataclass(frozen=True)
class EnvironmentLock:
    """An environment's Lease, held by this run: the API server refuses the writes of every other run."""

    environment: str
    held: HeldLease
