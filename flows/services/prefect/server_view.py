"""What is set up on a Prefect server, as the doctor looks at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flows.core.doctor.deployments import Deployment, registered
from flows.services.prefect.api import PAGE, FlowRuns


@dataclass(frozen=True)
class Queue:
    """A work queue: when a worker last asked for its runs, and how it is, as READY."""

    name: str
    status: str
    last_polled: datetime | None


class ServerView(FlowRuns):
    """As `FlowRuns`, with the same errors."""

    def version(self) -> tuple[str, str | None]:
        """The server's version, and the date of its answer. It is given to users that are signed in."""
        answer = self._ask("GET", "/admin/version")
        return str(answer.json()), answer.headers.get("date")

    @property
    def address(self) -> str:
        """Of the API."""
        return str(self._http.base_url).rstrip("/")

    def pool(self, name: str) -> Mapping[str, Any] | None:
        """The work pool of that name; None where there is none."""
        return self._find(f"/work_pools/{name}")

    def queues(self, pool: str) -> dict[str, Queue]:
        """The pool's work queues, by name."""
        found = self._ask("POST", f"/work_pools/{pool}/queues/filter", {}).json()
        return {
            one["name"]: Queue(one["name"], one["status"] or "", _time(one["last_polled"])) for one in found
        }

    def deployments(self) -> dict[str, Deployment]:
        """Every deployment, as flow/name."""
        names = {flow["id"]: flow["name"] for flow in self._pages("/flows/filter")}
        found = [registered(one, names.get(one["flow_id"], "")) for one in self._pages("/deployments/filter")]
        return {one.name: one for one in found}

    def is_scheduled(self, deployment: str) -> bool | None:
        """Whether flow/deployment has a schedule that is on; None where there is no such deployment."""
        found = self._find(f"/deployments/name/{deployment}")
        if found is None:
            return None
        return not found["paused"] and any(one["active"] for one in found["schedules"])

    def blocks(self) -> frozenset[str]:
        """Every block, as type/name; their values are not asked for."""
        found = self._pages("/block_documents/filter")
        return frozenset(f"{one['block_type']['slug']}/{one['name']}" for one in found)

    def _pages(self, path: str) -> list[dict[str, Any]]:
        """All of what a filter gives."""
        found: list[dict[str, Any]] = []
        while True:
            page = self._ask("POST", path, {"offset": len(found), "limit": PAGE}).json()
            found += page
            if len(page) < PAGE:
                return found


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
