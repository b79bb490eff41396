"""Housekeeping on a whole platform: what nothing names goes, and nothing while that is a guess."""

from typing import Any

import pytest

from deployments.local.docker.engine import connect
from flows.core.build.latest import LatestPointer
from flows.housekeeping import housekeeping
from flows.runtime.global_lock import LATEST, global_lock
from tests.flows.conftest import Ended, Line

pytestmark = pytest.mark.exclusive


def keep_house(line: Line, **parameters: Any) -> Ended:
    return Ended(line.platform, housekeeping(return_state=True, **parameters))


def pull(line: Line, image: LatestPointer) -> None:
    """Have this machine's engine hold it, as after a build."""
    login = line.registry.credentials
    assert login
    access = {"username": login.username, "password": login.password}
    connect().images.pull(line.registry.name, tag=image.content.capsule, auth_config=access)


def on_the_engine(line: Line) -> set[str]:
    """The tags that this machine's engine has of the team's images."""
    images = connect().images.list(name=line.registry.name)
    return {tag.rpartition(":")[2] for image in images for tag in image.tags}


def test_images_that_nothing_names_go_and_what_can_not_be_asked_keeps_them(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    outdated, latest = line.mint(), line.mint()
    for image in (outdated, latest):
        pull(line, image)
    before, here = line.tags(), on_the_engine(line)
    assert {outdated.content.capsule, latest.content.capsule} <= here
    for name, value in {"IMAGES": "0.000001", "KEEP": "0"}.items():
        monkeypatch.setenv(f"SLIPWAY_HOUSEKEEPING__{name}", value)

    with monkeypatch.context() as variables:
        variables.setenv("SLIPWAY_ENVIRONMENTS__STAGING__CREDENTIALS", "nobody-made-this")
        unsure = keep_house(line)
    assert not unsure.succeeded
    for what in ("image", "run"):
        assert f"No {what} was deleted: what staging needs can't be read" in unsure.message
    assert line.tags() == before

    assert "Would remove" in keep_house(line, dry_run=True).message
    assert line.tags() == before
    assert on_the_engine(line) == here

    done = keep_house(line)
    assert done.succeeded, done.message
    assert "tags in the registry: 2" in done.message
    assert "| tags in the registry | 2, " in done.artifacts()
    assert sorted(line.tags()) == sorted(
        [latest.content.capsule, f"{latest.content.capsule}.model", "latest"]
    )
    assert on_the_engine(line) & here == {latest.content.capsule}
    assert line.registry.find(outdated.digest) is None
    assert line.registry.image("latest").digest == latest.digest


def test_latest_may_move_while_images_are_deleted_and_what_it_names_then_stays(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    outdated = [line.mint(), line.mint()]
    line.mint()

    def others_have_a_turn(_seconds: float) -> None:
        (left,) = [pointer for pointer in outdated if line.registry.find(pointer.digest)]
        with global_lock(LATEST):
            line.registry.move(left)

    for name, value in {"IMAGES": "0.000001", "KEEP": "0"}.items():
        monkeypatch.setenv(f"SLIPWAY_HOUSEKEEPING__{name}", value)
    monkeypatch.setattr("flows.stages.housekeeping.IMAGES_AT_A_TIME", 1)
    monkeypatch.setattr("flows.housekeeping.sleep", others_have_a_turn)
    assert keep_house(line).succeeded
    (left,) = [pointer for pointer in outdated if line.registry.find(pointer.digest)]
    assert line.latest == left
    assert line.registry.attached(left.content.capsule)
