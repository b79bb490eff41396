"""What an environment keeps of its releases, in its cluster: one Secret per release, and its notes."""

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.core.errors import RecordTaken, RecordUnreadable
from flows.core.release.environment_state import EnvironmentState
from flows.core.release.record import Record, expired, newest_first
from flows.core.untrusted import parsed_json, unzipped
from flows.services.kubernetes.cluster import ANNOTATION, Cluster
from flows.services.kubernetes.fence import fenced
from flows.services.process.command import silent

TYPE = "slipway.dev/release.v1"
KEY = "release"
NOTES = "slipway-environment"
APP = "app.kubernetes.io/name"

LARGEST = 64 << 20
"""Bytes of a record that are read at most; a Secret holds a megabyte of them compressed."""


@dataclass(frozen=True)
class Records:
    """The records and notes of one app in one namespace; what writes takes the Lease's fence."""

    cluster: Cluster

    def history(self) -> list[Record]:
        """Every record, the newest first; `RecordUnreadable` names a damaged or newer one."""
        query = (
            f"?fieldSelector=type%3D{TYPE.replace('/', '%2F')}&labelSelector={APP}={self.cluster.deployment}"
        )
        secrets = self.cluster.api.get(self.cluster.path("api/v1", "secrets") + query)
        return newest_first(_unpacked(secret) for secret in secrets["items"]) if secrets else []

    def write(self, record: Record, fence: str) -> Record:
        """Create the record, or change the one that there is of this release.

        `RecordTaken` where the number belongs to another release, `ChangedMeanwhile` where another writer
        was quicker.
        """
        return self.cluster.let_in(fence, lambda: self._write(record, fence))

    def prune(self, fence: str) -> None:
        """Delete the records that need not be kept."""
        gone = [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _name(record.number)}}
            for record in expired(self.history())
        ]
        self.cluster.delete(gone, fence, silent)

    def notes(self) -> EnvironmentState:
        """The environment's hold and marks; empty where nothing was noted yet."""
        state = self.cluster.api.get(self.cluster.path("api/v1", "configmaps", NOTES))
        if state is None:
            return EnvironmentState()
        try:
            content = parsed_json(state["data"]["notes"])
        except (KeyError, TypeError, ValueError):
            content = None
        return EnvironmentState.from_json(content)

    def write_notes(self, notes: EnvironmentState, fence: str) -> None:
        """Keep these notes in place of those before."""
        path = self.cluster.path("api/v1", "configmaps", NOTES)
        content = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": fenced({"name": NOTES, "labels": {APP: self.cluster.deployment}}, fence),
            "data": {"notes": json.dumps(notes.to_json())},
        }

        def put() -> None:
            if self.cluster.api.replace(path, content) is None:
                self.cluster.api.create(self.cluster.path("api/v1", "configmaps"), content)

        self.cluster.let_in(fence, put)

    def _write(self, record: Record, fence: str) -> Record:
        name = _name(record.number)
        path = self.cluster.path("api/v1", "secrets", name)
        existing = self.cluster.api.get(path)
        content = self._packed(record, fence)
        if existing is None:
            self.cluster.api.create(self.cluster.path("api/v1", "secrets"), content)
            return record
        other = _unpacked(existing)
        if other.run != record.run:  # a retry after a lost answer finds its own
            raise RecordTaken(
                f"Number {record.number} in {self.cluster.namespace} is that of {other.content}, "
                f"which run {other.run} released.",
                "Start the release again: it takes the next number.",
            )
        version = {"resourceVersion": existing["metadata"]["resourceVersion"]}
        self.cluster.api.replace(path, {**content, "metadata": {**content["metadata"], **version}})
        return record

    def _packed(self, record: Record, fence: str) -> dict[str, Any]:
        labels = {
            APP: self.cluster.deployment,
            f"{ANNOTATION}number": str(record.number),
            f"{ANNOTATION}verdict": record.verdict,
        }
        content = gzip.compress(json.dumps(record.to_json()).encode(), mtime=0)
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": TYPE,
            "metadata": fenced({"name": _name(record.number), "labels": labels}, fence),
            "data": {KEY: base64.b64encode(content).decode()},
        }


def _unpacked(secret: dict[str, Any]) -> Record:
    try:
        content = unzipped(base64.b64decode(secret["data"][KEY]), LARGEST)
        return Record.from_json(parsed_json(content))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(secret, repr(error)) from error
    except RecordUnreadable as damaged:
        raise _unreadable(secret, damaged.happened, damaged.remedy) from damaged


def _unreadable(secret: Mapping[str, Any], why: str, remedy: str = "") -> RecordUnreadable:
    name = secret["metadata"]["name"]
    return RecordUnreadable(f"The Secret {name} is not a readable release record: {why.rstrip('.')}.", remedy)


def _name(number: int) -> str:
    return f"slipway-release-{number}"
