"""Records for tables and for clusters."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.core.build.content import BuildContent, ModelVersion
from flows.core.build.image import Image
from flows.core.release.record import Record

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
"""When release 0 would have started; each later one a minute after the one before."""


def a_record(number: int = 1, **changes: Any) -> Record:
    """A release that is under way, with an image of its own, as changed."""
    started = NOON + timedelta(minutes=number)
    plain = Record(
        number=number,
        image=Image("registry.test/app", f"sha256:{number:064x}"),
        content=BuildContent(
            "a" * 40,
            ModelVersion("digits", "1.0.0", "sha256:" + "d" * 64),
            NOON,
            capsule="c" * 64,
            base_digest="sha256:" + "b" * 64,
            code_half="1" * 64,
            model_half="2" * 64,
        ),
        model_created=NOON,
        manifests="m" * 64,
        objects=({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},),
        run=f"run-{number}",
        asked_by="the schedule",
        asked_for="latest",
        started=started,
    )
    return replace(plain, **changes)


def good(number: int, **changes: Any) -> Record:
    """A release that is live, proven half a minute after it started."""
    record = a_record(number)
    proven = record.closed("deployed", "proven", record.started + timedelta(seconds=30))
    return replace(proven, **changes)


def superseded(number: int, **changes: Any) -> Record:
    """One that was good until the next one."""
    record = good(number)
    return replace(record.closed("superseded", "", record.started + timedelta(minutes=1)), **changes)
