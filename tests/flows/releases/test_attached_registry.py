"""A cluster whose nodes pull by an identity of their own; here the account `default` has one."""

import json
import uuid
from collections.abc import Iterator
from functools import partial

import pytest

from deployments.cluster import bootstrap, manifests
from flows.config import load as configuration
from flows.config.load import Settings
from flows.core.build.image import Image
from flows.core.errors import ClusterNotPrepared
from flows.credentials import prefect_blocks
from flows.services.kubernetes.account import LOGIN
from flows.services.kubernetes.attach import PULL_SECRET
from flows.services.process.command import silent
from flows.stages.attach import try_pull
from flows.stages.clusters import cluster_of
from flows.stages.context import opened
from tests.flows.conftest import Line
from tests.flows.environments import Place

STAGING = Place("staging")
WORKER = "an-object-id"


@pytest.fixture
def nodes_with_an_identity() -> Iterator[None]:
    def pull_with(*names: str) -> None:
        secrets = json.dumps({"imagePullSecrets": [{"name": name} for name in names]})
        STAGING.kubectl("patch", "serviceaccount", "default", "--type=merge", f"--patch={secrets}")

    pull_with(PULL_SECRET)
    yield
    pull_with()


def test_a_node_pulls_what_latest_names(line: Line, nodes_with_an_identity: None) -> None:
    latest = line.mint()
    with opened("check", silent, lambda _: lambda *_: None, prefect_blocks) as run:
        pulled = try_pull(run, "staging", STAGING.cluster)
    assert pulled == Image(line.registry.name, latest.digest)


def test_before_the_first_build_no_pull_is_tried(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_REGISTRY__REPOSITORY", f"{line.registry.repository}-new")
    with opened("check", silent, lambda _: lambda *_: None, prefect_blocks) as run:
        assert try_pull(run, "staging", STAGING.cluster) is None


@pytest.fixture
def elsewhere(line: Line) -> Iterator[Settings]:
    """Staging in a namespace of its own, to which runs sign in by an identity of their own."""
    settings, name = configuration.load(), f"test-{uuid.uuid4().hex[:8]}"
    changes = {"namespace": name, "credentials": None, "login": WORKER}
    staging = settings.environment("staging").model_copy(update=changes)
    yield settings.model_copy(update={"environments": {"staging": staging}})
    kinds = ("validatingadmissionpolicybinding", "validatingadmissionpolicy")
    policies = [f"{kind}/slipway-{what}-{name}" for kind in kinds for what in manifests.POLICIES]
    STAGING.kubectl("delete", "--wait=false", "--ignore-not-found", f"namespace/{name}", *policies)


def test_the_bootstrap_prepares_for_an_identity_and_tries_the_pull(
    line: Line, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.mint()
    monkeypatch.setattr(bootstrap, "try_pull", partial(try_pull, patience=0))
    said = list[str]()
    with pytest.raises(ClusterNotPrepared, match="The registry refuses the nodes of 'embedded'"):
        bootstrap.prepare(elsewhere, "staging", said.append, attached=True)
    assert f"The user {WORKER} may create tokens of slipway-release, and do nothing else." in said
    cluster = cluster_of(elsewhere, "staging")
    assert cluster.api.get(cluster.path("api/v1", "secrets", PULL_SECRET)) is None
    bound = cluster.api.get(cluster.path("apis/rbac.authorization.k8s.io/v1", "rolebindings", LOGIN))
    assert bound
    assert [one["name"] for one in bound["subjects"]] == [WORKER]
    assert cluster.pods() == () or all("deletionTimestamp" in one["metadata"] for one in cluster.pods())
