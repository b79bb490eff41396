"""Housekeeping on a whole platform: what nothing names goes, and nothing while that is a guess."""

import uuid
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType

from deployments.local.docker.engine import connect
from flows.core.build.latest import LatestPointer
from flows.housekeeping import housekeeping
from flows.runtime.global_lock import LATEST, global_lock
from flows.services.images.container_engine import RUN_LABEL, ContainerEngine
from tests.flows.conftest import Ended, Line

pytestmark = pytest.mark.exclusive


def keep_house(line: Line, **parameters: Any) -> Ended:
    return Ended(line.platform, housekeeping(return_state=True, **parameters))


def pull(line: Line, image: LatestPointer) -> None:
    """Have this machine's engine hold it, as after a build."""
    login = line.registry.login()
    assert login
    access = {"username": login.username, "password": login.password}
    connect().images.pull(line.registry.name, tag=image.content.capsule, auth_config=access)


def on_the_engine(line: Line) -> set[str]:
    """The tags that this machine's engine has of the team's images."""
    images = connect().images.list(name=line.registry.name)
    return {tag.rpartition(":")[2] for image in images for tag in image.tags}


def test_containers_of_runs_that_are_over_go_and_those_of_others_stay(line: Line) -> None:
    image = line.registry.name + "@" + line.mint().digest
    login = line.registry.login()
    assert login
    access = {"username": login.username, "password": login.password}
    connect().images.pull(image, auth_config=access)
    with get_client(sync_client=True) as client:
        crashed, running = (
            str(client.create_flow_run(housekeeping, state=State(type=state)).id)
            for state in (StateType.CRASHED, StateType.RUNNING)
        )
        engines = [ContainerEngine(None, run) for run in (crashed, running, str(uuid.uuid4()))]
        try:
            kept = [engine.start(image, "tests", command=["sleep", "300"]).id for engine in engines][1:]
            done = keep_house(line)
            assert "containers of killed runs: 1" in done.message
            there = {found.id for found in connect().containers.list(filters={"label": RUN_LABEL})}
            assert set(kept) <= there
            assert engines[0].remove_containers() == 0
        finally:
            for engine in engines:
                engine.remove_containers()
            client.set_flow_run_state(UUID(running), State(type=StateType.CANCELLED), force=True)


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
        variables.setenv("SLIPWAY_ENVIRONMENTS__STAGING__CREDENTIALS", "never-made")
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
