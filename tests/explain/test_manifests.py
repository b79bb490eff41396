"""The manifests that `[manifests] ref` names, as `slipway why` finds them without a Prefect server."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.core.explain.status import Away
from flows.core.release.manifests_source import ManifestsSource
from flows.credentials import prefect_blocks
from flows.explain.collect import StatusCollector
from flows.services.models.transfer import no_progress
from flows.services.prefect.api import FlowRuns
from flows.services.process.command import silent
from flows.stages.context import opened
from tests.support.commits import commit_all

HEAD = "a" * 40
AWAY = Away("the repository", "It does not answer.")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one of the settings, with manifests in the folder that they name."""
    folder = tmp_path / "repository"
    (folder / "deployments" / "kubernetes").mkdir(parents=True)
    (folder / "deployments" / "kubernetes" / "service.yaml").write_text("{}")
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("SLIPWAY_SOURCE__REPOSITORY", str(folder))
    return folder


@pytest.fixture
def collector(repository: Path) -> Iterator[StatusCollector]:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}),
        FlowRuns() as runs,
        opened("why", silent, no_progress, prefect_blocks) as run,
    ):
        yield StatusCollector(run, runs, datetime.now(UTC))


def test_each_commit_that_changes_the_folder_has_other_manifests(
    repository: Path, collector: StatusCollector
) -> None:
    def newest(subject: str) -> ManifestsSource:
        commit = commit_all(repository, subject)
        found = collector.manifests(commit)
        assert isinstance(found, ManifestsSource)
        assert (found.repository, found.path) == (str(repository), "deployments/kubernetes")
        assert found.commit == commit
        return found

    first = newest("Manifests")
    (repository / "README.md").write_text("Not of the manifests")
    assert newest("A page").tree == first.tree
    (repository / "deployments" / "kubernetes" / "service.yaml").write_text("{kind: Service}")
    assert newest("Other manifests").tree != first.tree


def test_a_commit_without_the_folder_is_named(repository: Path, collector: StatusCollector) -> None:
    (repository / "deployments" / "kubernetes" / "service.yaml").rename(repository / "service.yaml")
    commit = commit_all(repository, "No manifests")
    found = collector.manifests(commit)
    assert isinstance(found, Away)
    assert f"Commit {commit[:7]} of {repository} has no manifests' folder" in found.because


def test_a_repository_of_their_own_is_named_where_it_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, repository: Path, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(repository.with_name("none")))
    collector: StatusCollector = request.getfixturevalue("collector")
    found = collector.manifests(AWAY)
    assert isinstance(found, Away)
    assert found.system == "the repository of the manifests"


def test_the_applications_repository_is_not_asked_again_where_it_did_not_answer(
    repository: Path, collector: StatusCollector
) -> None:
    commit_all(repository, "Manifests, which could be looked up")
    assert collector.manifests(AWAY) is AWAY
    assert isinstance(collector.manifests(HEAD), ManifestsSource)
