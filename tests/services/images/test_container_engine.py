"""Building, the test stage and the trial, on the real engine, with the smallest app."""

import os
import shutil
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.local.docker.engine import connect
from flows.config.load import CHECKOUT
from flows.core.errors import BuildFailed, EngineUnavailable, PermanentError
from flows.services.images import test_stage
from flows.services.images.container_engine import Build, ContainerEngine
from flows.services.images.docker_cli import docker_command
from flows.services.process.command import silent
from tests.services.conftest import DIGITS, Context, build
from tests.stand_ins.unreliable_network import breaking_line

pytestmark = pytest.mark.apart

DOCKER_SOCKET = Path("/var/run/docker.sock")


def layers_built(folder: Path, base_image: str) -> list[str]:
    """The layers' digests of an image that nothing of an earlier build went into."""
    id_file = folder.with_suffix(".id")
    secrets = {"ca_bundle": Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))}
    *command, context = build(folder, base_image).command(docker_command(), secrets, id_file)
    subprocess.run([*command, "--no-cache", context], env={**os.environ, "DOCKER_BUILDKIT": "1"}, check=True)
    layers: list[str] = connect().images.get(id_file.read_text()).attrs["RootFS"]["Layers"]
    return layers


def test_the_same_context_is_the_same_image(
    engine: ContainerEngine, context: Context, base_image: str
) -> None:
    same = build(context(), base_image)
    assert engine.build(same, silent) == engine.build(same, silent)


@pytest.mark.slow
def test_our_app_built_twice_from_nothing_has_the_same_layers(tmp_path: Path, base_image: str) -> None:
    first = tmp_path / "first"
    for part in ("app", "serving"):
        shutil.copytree(CHECKOUT / part, first / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(DIGITS, first / "model")
    shutil.copy(CHECKOUT / "Dockerfile", first)
    second = shutil.copytree(first, tmp_path / "second")
    assert layers_built(first, base_image) == layers_built(second, base_image)


def test_the_builders_lines_are_logged(engine: ContainerEngine, context: Context, base_image: str) -> None:
    logged: list[str] = []
    engine.build(build(context(), base_image), logged.append)
    assert any("COPY model /model" in line for line in logged)


def test_a_build_is_led_through_the_proxy(
    engine: ContainerEngine, context: Context, base_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = "http://user:p%40ss@proxy.example.org:3128"
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    folder = context("proxied")
    is_set = 'case "$https_proxy" in *@proxy.example.org:3128) ;; *) exit 1 ;; esac'
    (folder / "Dockerfile").write_text(f"FROM {base_image}\nRUN {is_set}\n")

    image = connect().images.get(engine.build(build(folder, base_image), silent))

    assert "p%40ss" not in str([image.attrs, image.history()])


def test_a_build_that_fails_says_why(engine: ContainerEngine, context: Context, base_image: str) -> None:
    folder = context()
    (folder / "Dockerfile").write_text(f"FROM {base_image}\nRUN echo the reason && false\n")
    with pytest.raises(BuildFailed, match=r"could not be built: the reason\.") as failure:
        engine.build(build(folder, base_image), silent)
    assert "the reason" in failure.value.details


class Deaf(Build):
    """For a builder that does not hear which platform is asked for."""

    def command(self, *given: Any) -> tuple[str, ...]:
        return replace(self, platform="").command(*given) if self.platform else super().command(*given)


def test_an_image_is_for_the_platform_that_was_asked_for_or_is_refused(
    engine: ContainerEngine, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    wanted = Build(tmp_path, "Dockerfile", "slipway-test:platform", platform="linux/s390x")
    built = connect().images.get(engine.build(wanted, silent)).attrs
    assert (built["Os"], built["Architecture"]) == ("linux", "s390x")
    with pytest.raises(BuildFailed, match=r"built for linux/.*, but \[app\] platform is linux/s390x"):
        engine.build(Deaf(wanted.context, wanted.dockerfile, wanted.tag, platform=wanted.platform), silent)


def test_a_report_is_copied_out_whatever_the_exit_status(
    engine: ContainerEngine, context: Context, base_image: str
) -> None:
    image = engine.build(build(context(tests="fail"), base_image, "test"), silent)
    ran = test_stage.run(engine, image, 30, silent)
    assert ran.status == 1
    assert ran.report is not None
    assert b"expected a cat" in ran.report


def test_a_test_stage_that_hangs_is_ended_and_leaves_its_last_lines(
    engine: ContainerEngine, context: Context, base_image: str
) -> None:
    image = engine.build(build(context(tests="hang"), base_image, "test"), silent)
    ran = test_stage.run(engine, image, 2, silent)
    assert (ran.status, ran.report) == (None, None)
    assert "test_serves is waiting" in ran.log


def test_containers_that_a_run_left_are_removed_and_no_others(
    engine: ContainerEngine, base_image: str
) -> None:
    other = ContainerEngine(None, uuid.uuid4().hex)
    mine = engine.start(base_image, "mine", command=["sleep", "60"])
    theirs = other.start(base_image, "theirs", command=["sleep", "60"])
    try:
        engine.remove_containers()
        left = {container.id for container in connect().containers.list(all=True, ignore_removed=True)}
        assert mine.id not in left
        assert theirs.id in left
    finally:
        other.remove_containers()


def test_what_another_run_left_is_found_by_its_id(engine: ContainerEngine, base_image: str) -> None:
    killed = ContainerEngine(None, uuid.uuid4().hex)
    left = [killed.start(base_image, "tests", command=["sleep", "60"]).id for _ in range(2)]
    mine = engine.start(base_image, "mine", command=["sleep", "60"])
    found = engine.runs_with_containers()
    assert killed.run in found
    assert engine.run not in found
    assert engine.remove_containers(killed.run) == 2
    there = {container.id for container in connect().containers.list(all=True, ignore_removed=True)}
    assert not there & set(left)
    assert mine.id in there


def test_an_engine_that_does_not_answer_is_worth_another_try(context: Context, base_image: str) -> None:
    absent = ContainerEngine("tcp://127.0.0.1:9", "run")
    with pytest.raises(EngineUnavailable, match="does not answer"):
        absent.start(base_image, "any")
    with pytest.raises(EngineUnavailable, match="does not answer"):
        absent.build(build(context(), base_image), silent)


def test_an_engine_that_breaks_off_during_the_tests_is_worth_another_try(
    engine: ContainerEngine, context: Context, base_image: str
) -> None:
    image = engine.build(build(context(tests="hang"), base_image, "test"), silent)
    with breaking_line(DOCKER_SOCKET) as network:
        remote = ContainerEngine(f"tcp://127.0.0.1:{network.port}", engine.run)

        def break_off(line: str) -> None:
            assert line == "test_serves is waiting"
            network.break_off()

        with pytest.raises(EngineUnavailable, match="does not answer"):
            test_stage.run(remote, image, 30, break_off)


def test_an_engine_that_breaks_off_while_asked_is_worth_another_try(base_image: str) -> None:
    with breaking_line(DOCKER_SOCKET, down=2000) as network:
        remote = ContainerEngine(f"tcp://127.0.0.1:{network.port}", "run")

        def ask_until_it_breaks() -> None:
            while not network.spent.is_set():
                remote.tag(base_image, "slipway-test:broken-off")

        with pytest.raises(EngineUnavailable, match="does not answer"):
            ask_until_it_breaks()


def test_what_the_engine_refuses_is_reported_in_its_words(engine: ContainerEngine) -> None:
    with pytest.raises(PermanentError, match=r"refused: .*No such image: slipway-test:never-built"):
        engine.tag("slipway-test:never-built", "slipway-test:any")
