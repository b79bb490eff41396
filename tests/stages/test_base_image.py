"""Which base image a run takes."""

from pathlib import Path

import pytest

from flows.core.build.image import Reference
from flows.core.errors import RegistryUnavailable
from flows.credentials import environment
from flows.services.models.transfer import no_progress
from flows.services.process.command import silent
from flows.stages.context import opened
from tests.stand_ins.hostile_registry import content, hostile_registry

DIGEST = "sha256:" + "b" * 64
NOWHERE = "localhost:1"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_REGISTRY__ADDRESS", NOWHERE)
    monkeypatch.setenv("SLIPWAY_REGISTRY__INSECURE", "true")


def base_image() -> Reference:
    with opened("a run", silent, no_progress, environment) as run:
        return run.base_image()


def test_a_base_image_that_is_named_by_digest_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_APP__BASE_IMAGE", f"{NOWHERE}/team/base@{DIGEST}")
    assert base_image() == Reference(NOWHERE, "team/base", DIGEST)


def test_a_base_image_that_is_named_by_tag_is_what_its_registry_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile_registry() as registry:
        registry.answers["manifests/3.11"] = content({}, Docker_Content_Digest=DIGEST)
        monkeypatch.setenv("SLIPWAY_REGISTRY__ADDRESS", registry.address)
        monkeypatch.setenv("SLIPWAY_APP__BASE_IMAGE", f"{registry.address}/team/app:3.11")
        assert base_image() == Reference(registry.address, "team/app", DIGEST)


def test_a_registry_of_the_base_image_that_is_away_is_no_verdict_on_the_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIPWAY_APP__BASE_IMAGE", f"{NOWHERE}/team/base:3.11")
    with pytest.raises(RegistryUnavailable):
        base_image()
