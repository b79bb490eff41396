"""A run that calls stages as plain functions, without any flow."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flows.core.release.decision import Request
from flows.core.release.record import Record
from flows.credentials import prefect_blocks
from flows.services.kubernetes import lease
from flows.services.models.transfer import no_progress
from flows.services.verification.verification import Proof
from flows.stages import release, resolve_image
from flows.stages.context import RunContext, opened
from flows.stages.environment_lock import EnvironmentLock


@dataclass(frozen=True)
class AtWork:
    """A run that holds an environment's lock, and calls one stage after the other."""

    run: RunContext
    lock: EnvironmentLock

    def apply(self, image: str) -> Record:
        """Apply the team's manifests with that image; the record of it."""
        environment = self.lock.environment
        request = Request(environment, image, "a test", "Ada")
        found = resolve_image.find_candidate(self.run, image)
        candidate = resolve_image.resolve_manifests(self.run, request, found)
        plan = resolve_image.render_manifests(self.run, request, candidate)
        record = release.record_release(self.run, self.lock, plan, release.observe(self.run, environment))
        release.apply_manifests(self.run, self.lock, record)
        return record

    def put_in_force(self, image: str) -> Proof:
        """Apply, watch and prove; the error of the stage that fails is raised, and nothing is undone."""
        record = self.apply(image)
        release.watch_rollout(self.run, self.lock, record)
        return release.verify_replicas(self.run, self.lock, record)


@contextmanager
def at_work(environment: str) -> Iterator[AtWork]:
    """As the settings are now; the lock is free again at the end."""
    with (
        opened("a-test", print, no_progress, prefect_blocks) as run,
        lease.acquire(
            run.cluster(environment), run.id, run.settings.environment(environment).lock_wait, print
        ) as held,
    ):
        lock = EnvironmentLock(environment, held)
        release.claim_objects(run, lock)
        yield AtWork(run, lock)
