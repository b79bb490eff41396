"""CI by hand: the stages on this machine, with no Prefect to ask."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.local.commands import variables
from deployments.local.docker.engine import connect
from deployments.local.instance import Instance
from deployments.local.stores.blob_store import BlobStoreAccess
from deployments.local.stores.registry import RegistryAccess
from flows.config import load as configuration
from flows.config.load import CHECKOUT
from flows.core.build.capsule import half_of
from flows.credentials import environment as of_the_shell
from flows.services.images.container_engine import RUN_LABEL
from flows.services.models.model_check import describe
from flows.services.models.model_store import ModelStore
from flows.services.process.temporary import in_use
from flows.services.registry.client import Registry
from tests.flows.team import MODELS, TEAM_APP
from tests.support.waiting import wait_until

NO_SERVER = "http://127.0.0.1:1/api"


@dataclass(frozen=True)
class Developer:
    """A developer with a clone, a shell with credentials, and no Prefect."""

    repository: Path
    prefect_home: Path

    def commit(self, **behaviour: str) -> None:
        content = "".join(f', "{key}": "{value}"' for key, value in behaviour.items())
        (self.repository / "behaviour.json").write_text(
            f'{{"app": "good", "where": "", "tests": "pass", "of": "{self.repository}"{content}}}'
        )
        for command in (["add", "--all"], ["commit", "--quiet", "--message", "A change"]):
            who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
            subprocess.run(["git", *who, *command], cwd=self.repository, check=True)

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "ci", *options],
            cwd=CHECKOUT,
            env=os.environ | {"PREFECT_API_URL": NO_SERVER, "PREFECT_HOME": str(self.prefect_home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ci(self, *options: str) -> tuple[int, str, str]:
        """Exit status, output and errors of a run."""
        process = self.start("--local", *options)
        try:
            output, errors = process.communicate()
        finally:
            process.kill()
        return process.returncode, output, errors

    @property
    def registry(self) -> Registry:
        settings = configuration.load()
        wanted = settings.registry
        login = of_the_shell.registry_login(wanted, settings.azure)
        return Registry(wanted.address, wanted.repository, login, wanted.insecure)

    def knows_no_prefect(self) -> bool:
        """Whether no server was begun either: it would have made a database."""
        return not list(self.prefect_home.rglob("*.db"))


@pytest.fixture
def developer(
    instance: Instance,
    registry: RegistryAccess,
    blob_store: BlobStoreAccess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Developer:
    name = f"hand-{tmp_path.name.replace('_', '-')[-12:].strip('-')}-{os.getpid()}"
    repository = tmp_path / "team"
    shutil.copytree(TEAM_APP, repository)
    environment = {
        **variables.of(instance),
        "SLIPWAY_STATE": str(instance.state),
        "SLIPWAY_SOURCE__REPOSITORY": str(repository),
        "SLIPWAY_APP__CONTEXT": json.dumps(sorted(path.name for path in TEAM_APP.iterdir())),
        "SLIPWAY_APP__MODEL_PATH": "",
        "SLIPWAY_MODEL__NAME": name,
        "SLIPWAY_REGISTRY__REPOSITORY": f"teams/{name}",
    }
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=repository, check=True)
    found = Developer(repository, tmp_path / "prefect")
    found.commit()
    file = MODELS / "digits" / "model.onnx"
    described = describe(file, file.with_name("manifest.json"), name=name, version="1.0.0")
    ModelStore(of_the_shell.blob_store(configuration.load().model), tmp_path / "models").publish(
        file, described
    )
    return found


def test_the_stages_run_without_prefect_and_push_only_when_asked_to(developer: Developer) -> None:
    status, output, errors = developer.ci()
    assert status == 0, errors
    assert "It would be pushed as" in output
    for stage in ("run tests", "fetch model", "build image", "smoke test"):
        assert f"{stage} | " in output
    assert "Tests: 1 passed" in output
    assert developer.knows_no_prefect()

    status, output, _ = developer.ci("--push")
    assert status == 0
    assert "pushed as" in output
    assert developer.registry.pointer() is None

    assert "nothing to do, the registry has" in developer.ci("--push")[1]
    assert "Nothing to push, the registry has" in developer.ci("--push", "--fresh")[1]


def test_an_image_of_halves_is_tried_out_without_the_registry_and_composed_with_it(
    developer: Developer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_APP__MODEL_PATH", "/model")
    monkeypatch.setenv("SLIPWAY_APP__DOCKERFILE", "Dockerfile.halves")
    status, output, errors = developer.ci()
    assert status == 0, errors
    assert "It would be pushed as" in output
    assert "assemble image | " in output
    assert developer.registry.tags() == []

    status, output, errors = developer.ci("--push")
    assert status == 0, errors
    assert "pushed as" in output
    assert {(half_of(tag) or "image").partition("-")[0] for tag in developer.registry.tags()} == {
        *("code", "model", "image")
    }
    assert "nothing to do, the registry has" in developer.ci("--push")[1]


def test_a_failure_is_one_line_and_exit_status_1(developer: Developer) -> None:
    developer.commit(tests="fail")
    status, output, errors = developer.ci()
    assert status == 1
    assert "check.test_serves: expected a cat" in output
    assert errors.startswith("Error: 1 of 1 tests failed: check.test_serves.")
    assert len(errors.splitlines()) == 1


def test_missing_credentials_are_wrong_settings_and_exit_with_2(
    developer: Developer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(of_the_shell.CONNECTION_STRING)
    status, _, errors = developer.ci()
    assert status == 2
    assert "Set SLIPWAY_MODEL_CONNECTION_STRING" in errors
    assert len(errors.splitlines()) == 1


def test_ctrl_c_leaves_no_container_behind(developer: Developer) -> None:
    developer.commit(tests="hang")
    process = developer.start("--local")
    assert process.stdout
    line = next(line for line in process.stdout if "test_serves is waiting" in line)
    assert "run tests" in line
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert process.stderr
    assert "Interrupted" in process.stderr.read()
    wait_until(lambda: not containers_of_runs_by_hand(), "a container is left")


def test_the_next_run_removes_what_a_killed_one_left(developer: Developer) -> None:
    developer.commit(tests="hang")
    others = in_use()
    process = developer.start("--local")
    assert process.stdout
    assert any("test_serves is waiting" in line for line in process.stdout)
    left = [name for name in in_use() if name not in others and name.startswith("slipway-tmp-run-")]
    assert left
    process.kill()
    process.wait(20)
    assert len(containers_of_runs_by_hand()) == 1

    developer.commit(tests="pass")
    status, output, said = developer.ci()
    assert status == 0, output + said
    assert "which was killed" in said
    assert containers_of_runs_by_hand() == []
    living = in_use()  # another process's run may have begun meanwhile, or have deleted them before
    assert not [folder for folder in temporary_folders() if folder.name in left and folder.name not in living]


def temporary_folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("slipway-tmp-*"))


def containers_of_runs_by_hand() -> list[str]:
    found = connect().containers.list(all=True, filters={"label": RUN_LABEL}, ignore_removed=True)
    return [str(c.name) for c in found if c.labels[RUN_LABEL].startswith("local-")]
