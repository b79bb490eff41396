"""How old an image in the registry is, for housekeeping."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.core.build.image import digest_of
from flows.services.models.transfer import no_progress
from flows.services.process.command import silent
from flows.services.registry.manifest import IMAGE_CONFIGS
from flows.stages import housekeeping
from flows.stages.context import RunContext, opened
from tests.stand_ins.hostile_registry import Answer, HostileRegistry, content
from tests.support.own_credentials import OwnCredentials

CAPSULE = "c" * 64
NOW = datetime.now(UTC)
OLD, YOUNG = NOW - timedelta(days=20), NOW - timedelta(minutes=5)


@pytest.fixture
def run(hostile: HostileRegistry, tmp_path: Path) -> Iterator[RunContext]:
    with opened("a-test", silent, no_progress, OwnCredentials(tmp_path).source) as found:
        yield found


def hold(hostile: HostileRegistry, tag: str, created: datetime, noted: object) -> None:
    """Have the registry hold an image of that age, with what is noted of its push."""
    config = {"os": "linux", "architecture": "amd64", "created": created.isoformat()}
    body = json.dumps(config).encode()
    attached = {"annotations": {"dev.slipway.capsule": tag, "dev.slipway.pushed": noted}}
    hostile.answers |= {
        "tags/list": Answer(json.dumps({"tags": [tag, f"{tag}.model"]}).encode()),
        f"blobs/{digest_of(body)}": Answer(body),
        f"manifests/{tag}": content({"config": {"digest": digest_of(body), "mediaType": IMAGE_CONFIGS[0]}}),
        f"manifests/{tag}.model": content(attached),
    }


@pytest.mark.parametrize("tag", [CAPSULE, f"branch-{CAPSULE}"])
@pytest.mark.parametrize(
    ("noted", "age"),
    [
        (YOUNG.isoformat(), YOUNG),
        ((OLD - timedelta(days=1)).isoformat(), OLD),
        (None, OLD),
        ("yesterday", OLD),
        (NOW.replace(tzinfo=None).isoformat(), OLD),
        (7, OLD),
    ],
    ids=["a new image of old layers", "pushed again", "not noted", "no time", "no zone", "a number"],
)
def test_an_image_is_as_old_as_its_layers_or_its_push(
    run: RunContext, hostile: HostileRegistry, tag: str, noted: object, age: datetime
) -> None:
    hold(hostile, tag, OLD, noted)
    stock = {one.tag: one.created for one in housekeeping.take_stock(run).tags}
    assert stock == {tag: age, f"{tag}.model": None}
