"""What `slipway why` prints for programs."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from flows.cli.explain import status_json
from flows.core.explain.status import Away, DeploymentStatus, Place, Store
from flows.core.model.model import ModelVersionSeen
from flows.core.release.decision import EnvironmentSnapshot
from flows.core.release.manifests_source import ManifestsSource
from tests.cli.conftest import Slipway
from tests.core.releases import NEWEST, NOW, candidate, deployed, released
from tests.support.commits import commit_all

CHANGED = ManifestsSource("/team", "f" * 40, "deployments/kubernetes", "f" * 40)
COMMITTED = DeploymentStatus(
    now=NOW,
    here=Place("staging", EnvironmentSnapshot(deployed(), (released(),))),
    latest=candidate("a", days=0),
    manifests=CHANGED,
    head="a" * 40,
    store=Store(ModelVersionSeen("digits", "1.0.0", "sha256:" + "1" * 64, settled=True), "1.0.0"),
    night=NOW,
)


def test_manifests_that_are_committed_and_not_live_as_json() -> None:
    found = status_json(COMMITTED)
    assert set(found) == {"environment", "known", "live", "hold", "manifests", "sentences", "unknown"}
    assert found["manifests"] == {
        "live": asdict(NEWEST),
        "newest": asdict(CHANGED),
        "next": asdict(CHANGED),
        "reason": "it is not yet night: it comes at 2026-03-01 02:00.",
    }
    assert set(asdict(CHANGED)) == {"repository", "commit", "path", "tree"}


def test_manifests_that_are_live_and_those_that_can_not_be_looked_up_as_json() -> None:
    live = status_json(replace(COMMITTED, manifests=NEWEST))
    assert live["manifests"] == dict.fromkeys(("live", "newest"), asdict(NEWEST)) | {
        "next": None,
        "reason": None,
    }
    away = status_json(replace(COMMITTED, manifests=Away("the repository of the manifests", "No answer.")))
    assert away["manifests"] == {"live": asdict(NEWEST), "newest": None, "next": None, "reason": None}
    assert away["unknown"] == [{"system": "the repository of the manifests", "because": "No answer."}]


@pytest.mark.platform
@pytest.mark.apart
def test_a_repository_that_can_not_be_reached_is_named_and_the_rest_is_answered(
    slipway: Slipway, tmp_path: Path
) -> None:
    (tmp_path / "app.py").touch()
    commit = commit_all(tmp_path, "The application")
    away = {"SLIPWAY_SOURCE__REPOSITORY": str(tmp_path), "SLIPWAY_MANIFESTS__REPOSITORY": "/nowhere"}
    found = slipway("why", "staging", "--json", **away)
    assert found.status == 0, found.errors
    content = json.loads(found.output)
    assert content["manifests"] == dict.fromkeys(("live", "newest", "next", "reason"))
    [because] = [
        one["because"] for one in content["unknown"] if one["system"] == "the repository of the manifests"
    ]
    assert because.startswith("There is no git repository at /nowhere")
    assert f"{commit[:7]} + " in " ".join(content["sentences"])
