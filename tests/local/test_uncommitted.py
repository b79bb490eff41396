"""`make run` says which files it left out, because no commit has them."""

from pathlib import Path

import pytest

from deployments.local.demo.uncommitted import notice
from flows.config import load as configuration
from tests.support.commits import commit_all


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with an app and manifests, all committed."""
    for folder in ("app", "deployments/kubernetes"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_text("as it was")
    commit_all(tmp_path, "All")
    monkeypatch.setenv("SLIPWAY_SOURCE__REPOSITORY", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_APP__CONTEXT", '["app"]')
    return tmp_path


def test_a_clean_working_tree_is_no_news(repository: Path) -> None:
    (repository / "notes").write_text("outside of app and manifests")
    assert notice(configuration.load()) == ""


def test_a_changed_and_a_new_file_of_the_manifests_are_named(repository: Path) -> None:
    (repository / "deployments/kubernetes/file").write_text("changed")
    (repository / "deployments/kubernetes/new").write_text("new")
    said = notice(configuration.load())
    assert said.startswith("uncommitted files: deployments/kubernetes/file, deployments/kubernetes/new.")


def test_manifests_of_another_repository_are_looked_for_there(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("manifests")
    (other / "base.yaml").write_text("as it was")
    commit_all(other, "All")
    (other / "base.yaml").write_text("changed")
    monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(other))
    monkeypatch.setenv("SLIPWAY_MANIFESTS__PATH", ".")
    assert "base.yaml" in notice(configuration.load())


def test_a_repository_elsewhere_has_no_working_tree_here(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_SOURCE__REPOSITORY", "https://git.example.org/team/app.git")
    assert notice(configuration.load()) == ""
