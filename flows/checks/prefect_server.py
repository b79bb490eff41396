"""Prefect's server: the pool, its queues and workers, deployments, the next night, and the blocks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import yaml

from flows.checks.check import Check, CheckFailed, CheckSkipped, CheckWarning
from flows.checks.reaching import ClockOffsets, note_offset, route
from flows.config.load import CHECKOUT, Settings
from flows.config.on_prefect import blocks_of, variables_of
from flows.core.doctor.deployments import Deployment, described, differences
from flows.core.errors import SettingsError
from flows.core.local_time import wall_time
from flows.core.night.schedule import NIGHTLY_RELEASE
from flows.services.prefect.server_view import Queue, ServerView

SERVER, POOL, DEPLOYMENTS, NIGHT = (
    "Prefect: server",
    "Prefect: work pool",
    "Prefect: deployments",
    "Prefect: next night",
)

PREPARE = "Run `python -m deployments.prefect.work_pool`, then `prefect deploy --all`; here: `slipway up`."

OPTIONAL_BLOCKS = {
    "[hooks] github": "deliveries of GitHub are refused",
    "[hooks] azure_devops": "deliveries of Azure DevOps are refused",
    "[results] secret": "tests that passed are run again",
}
"""Keys whose block may be missing, and what that means."""


@dataclass
class PrefectChecks:
    """Looks at the server of PREFECT_API_URL; `no_server` says why there is none."""

    settings: Settings
    offsets: ClockOffsets
    no_server: SettingsError | None = None

    def all(self) -> Iterator[Check]:
        """The server first, then what is on it."""
        yield Check(SERVER, "asked for its version, signed in", self._server)
        yield Check(POOL, "looked for the work pool of prefect.yaml", self._pool, (SERVER,))
        for name in self.queues:
            tried = "looked when a worker last asked for its runs"
            yield Check(queue(name), tried, self._polled(name), (POOL,))
        yield Check(DEPLOYMENTS, "compared them with prefect.yaml", self._deployed, (SERVER,))
        yield Check(NIGHT, f"looked for the next run of {NIGHTLY_RELEASE}", self._night, (SERVER,))
        for block, key in blocks_of(self.settings).items():
            yield Check(
                block_row(block), "looked it up, without its values", self._block(block, key), (SERVER,)
            )

    @cached_property
    def file(self) -> dict[str, Any]:
        """prefect.yaml."""
        content: dict[str, Any] = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
        return content

    @cached_property
    def queues(self) -> tuple[str, ...]:
        """Those that deployments wait in."""
        return tuple(dict.fromkeys(one["work_pool"]["work_queue_name"] for one in self.file["deployments"]))

    @cached_property
    def pool(self) -> str:
        """The name of the work pool of all deployments."""
        return str(self.file["deployments"][0]["work_pool"]["name"])

    @cached_property
    def _view(self) -> ServerView:
        return ServerView()

    @cached_property
    def _queues(self) -> dict[str, Queue]:
        return self._view.queues(self.pool)

    @cached_property
    def _blocks(self) -> frozenset[str]:
        return self._view.blocks()

    def _server(self) -> str:
        if self.no_server is not None:
            raise self.no_server
        asked = datetime.now(UTC)
        version, date = self._view.version()
        note_offset(date, "Prefect", asked, self.offsets)
        return f"{self._view.address} answers as version {version}, {route(self._view.address)}."

    def _pool(self) -> str:
        found = self._view.pool(self.pool)
        if found is None:
            raise CheckFailed(f"There is no work pool {self.pool}.", PREPARE)
        if found["is_paused"]:
            raise CheckWarning(
                f"The work pool {self.pool} is paused: no run begins.", "Resume it in Prefect's UI."
            )
        return f"The work pool {self.pool} is there."

    def _polled(self, name: str) -> Callable[[], str]:
        def look() -> str:
            found = self._queues.get(name)
            if found is None:
                raise CheckFailed(f"The work pool {self.pool} has no queue {name}.", PREPARE)
            if found.status == "PAUSED":
                raise CheckWarning(
                    f"The queue {name} is paused: none of its runs begins.", "Resume it in Prefect's UI."
                )
            last = found.last_polled
            when = f"{wall_time(last, self.settings.nights.zone)}" if last else "never"
            if found.status != "READY":
                raise CheckFailed(
                    f"No worker takes runs of the queue {name}; the last time was: {when}.",
                    f"Start a worker: `prefect worker start --pool {self.pool} --work-queue {name}`; here: "
                    "`slipway up`.",
                )
            return f"A worker asked for runs at {when}."

        return look

    def _deployed(self) -> str:
        variables = variables_of(self.settings)
        wanted = [described(one, variables) for one in self.file["deployments"]]
        there: dict[str, Deployment] = self._view.deployments()
        if found := differences(wanted, there):
            raise CheckFailed(f"They are not as in prefect.yaml: {'; '.join(found)}.", PREPARE)
        return f"All {len(wanted)} are as in prefect.yaml."

    def _night(self) -> str:
        scheduled = self._view.is_scheduled(NIGHTLY_RELEASE)
        if scheduled is None:
            raise CheckSkipped(f"there is no deployment {NIGHTLY_RELEASE}")
        if not scheduled:
            raise CheckWarning(
                f"The schedule of {NIGHTLY_RELEASE} is paused: no night releases.",
                f"Resume it on the page of {NIGHTLY_RELEASE} when nights are to release again.",
            )
        run = self._view.next_scheduled(NIGHTLY_RELEASE)
        if run is None or run.due is None:
            raise CheckFailed(
                f"The schedule of {NIGHTLY_RELEASE} is on, and no run is planned.",
                "Check that Prefect's background services run: its scheduler plans runs.",
            )
        return f"The next night is planned for {wall_time(run.due, self.settings.nights.zone)}."

    def _block(self, block: str, key: str) -> Callable[[], str]:
        def look() -> str:
            if block in self._blocks:
                return f"Prefect has it; slipway.toml names it at {key}."
            seen = f"Prefect has no block {block}, which slipway.toml names at {key}"
            remedy = "Create it in Prefect's UI under Blocks, or correct its name in slipway.toml."
            if key in OPTIONAL_BLOCKS:
                raise CheckWarning(f"{seen}: {OPTIONAL_BLOCKS[key]}.", remedy)
            if key.startswith("[environments."):
                remedy = "Let an administrator run: python -m deployments.cluster.bootstrap"
            raise CheckFailed(f"{seen}.", remedy)

        return look


def queue(name: str) -> str:
    """The row of a work queue."""
    return f"Prefect: queue {name}"


def block_row(block: str) -> str:
    """The row of a block, type/name."""
    return f"block {block}"
