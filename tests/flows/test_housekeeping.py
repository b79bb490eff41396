"""Housekeeping on a whole platform: what nothing names goes, and nothing while that is a guess."""

from typing import Any

import pytest

from flows.housekeeping import housekeeping
from tests.flows.conftest import Ended, Line


def keep_house(line: Line, **parameters: Any) -> Ended:
    return Ended(line.platform, housekeeping(return_state=True, **parameters))


def test_images_that_nothing_names_go_and_what_can_not_be_asked_keeps_them(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    outdated, latest = line.built(), line.built()
    before = line.tags()
    for name, value in {"IMAGES": "0.000001", "KEEP": "0"}.items():
        monkeypatch.setenv(f"SLIPWAY_HOUSEKEEPING__{name}", value)

    with monkeypatch.context() as variables:
        variables.setenv("SLIPWAY_ENVIRONMENTS__STAGING__CREDENTIALS", "nobody-made-this")
        unsure = keep_house(line)
    assert not unsure.succeeded
    assert "No image was deleted: what staging needs can't be read" in unsure.message
    assert line.tags() == before

    assert "Would remove" in keep_house(line, dry_run=True).message
    assert line.tags() == before

    done = keep_house(line)
    assert done.succeeded, done.message
    assert "tags in the registry: 2" in done.message
    assert "| tags in the registry | 2, " in done.artifacts()
    assert sorted(line.tags()) == sorted([latest.capsule, f"{latest.capsule}.model", "latest"])
    assert line.registry.find(outdated.digest) is None
    assert line.registry.image("latest").digest == latest.digest
