"""What a release sees of its environment, before it decides."""

from pathlib import Path

import pytest
import yaml

from flows.core.errors import ClusterUnavailable
from flows.credentials import environment
from flows.services.models.transfer import no_progress
from flows.services.process.command import silent
from flows.stages import release
from flows.stages.context import opened

NOWHERE = {
    "current-context": "away",
    "contexts": [{"name": "away", "context": {"cluster": "away", "user": "any"}}],
    "clusters": [{"name": "away", "cluster": {"server": "https://127.0.0.1:9"}}],
    "users": [{"name": "any", "user": {"token": "any"}}],
}


def test_a_cluster_that_is_away_may_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(NOWHERE))
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__CONTEXT", "away")
    with (
        opened("a-test", silent, no_progress, environment) as run,
        pytest.raises(ClusterUnavailable, match="The cluster 'away' could not be reached"),
    ):
        release.observe(run, "staging")
