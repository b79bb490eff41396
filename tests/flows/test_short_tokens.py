"""Whole runs as an identity of Azure, whose tokens are dead long before the runs end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.local.cluster import preparation
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import subprocesses
from deployments.local.stores.registry import ensure_access
from flows.config.load import load_as
from flows.services.azure.identity import REGISTRY, STORAGE
from flows.services.kubernetes.account import ACCOUNT
from tests.flows.approvals import answer, paused
from tests.flows.clouds import CI, Cloud, cloud_of, publish
from tests.flows.conftest import Line
from tests.flows.environments import Place, manifests_with
from tests.support.node_registries import pulled_by_nodes
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

NODES = "33333333-3333-3333-3333-333333333333"
"""The application that is the kubelet's identity."""

STAGING = Place("staging")
WITHOUT_PULL_SECRET = {"op": "remove", "path": "/spec/template/spec/imagePullSecrets"}
"""As the overlays of AKS have it."""

SECONDS = 5
"""Lifetime of a token of the identity, and of what the registry gives for it."""

DOCKER_LEAST = 65
"""Lifetime of a token for access: docker takes each for valid for a minute at least."""


@pytest.fixture
def cloud(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """The line's, with tokens that live for seconds. Its nodes may pull, and need no secret for it."""
    with cloud_of(line, tmp_path, monkeypatch, "s3cret") as found:
        directory, registry = found.directory, found.registry
        directory.lifetime = registry.refresh_lifetime = SECONDS
        registry.access_lifetime = DOCKER_LEAST
        registry.roles[NODES] = {"AcrPull"}
        manifests = manifests_with(tmp_path / "aks", WITHOUT_PULL_SECRET)
        monkeypatch.setenv("SLIPWAY_MANIFESTS__REPOSITORY", str(manifests))
        yield found


@pytest.fixture
def nodes_that_pull(line: Line, cloud: Cloud) -> Iterator[None]:
    """Staging's nodes pull from the registry as an application that may do nothing else."""
    instance, registry = line.platform.instance, cloud.registry
    registry.access_lifetime = 3600
    scope = f"repository:teams/{line.model}:pull"
    token = registry.access(NODES, [scope])["access_token"]
    registry.access_lifetime = DOCKER_LEAST
    registry.tokens.clear()
    with pulled_by_nodes(instance, registry.address, registry.inside, token):
        yield
        STAGING.empty()
    with pytest.MonkeyPatch.context() as variables:
        for name in (*cloud.variables, "SLIPWAY_MANIFESTS__REPOSITORY", "SLIPWAY_REGISTRY__REPOSITORY"):
            variables.delenv(name)
        settings = load_as(WrittenSettings).model_copy(update={"embedded": instance.ports})
        access = ensure_access(instance)
        preparation.ensure(instance, settings, line.platform.kubeconfig, access, print)


def test_ci_and_a_release_that_waits_for_approval_sign_in_again_where_tokens_have_ended(
    line: Line, cloud: Cloud, nodes_that_pull: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(line)
    cloud.directory.asked.clear()
    build(line)
    assert {tag for repository, tag in cloud.registry.pushed} >= {"latest"}
    for service in (STORAGE, REGISTRY):
        assert len(asked_for(cloud, service)) > 2
    assert len(cloud.registry.exchanges) > 2

    attach(line)
    STAGING.empty()
    cloud.registry.access_lifetime = SECONDS
    first = line.platform.wait(line.start_release())
    assert first.state == "COMPLETED", first.message

    cloud.registry.access_lifetime = DOCKER_LEAST
    newer = line.commit()
    build(line)
    cloud.registry.access_lifetime = SECONDS
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__APPROVAL", "true")
    waiting = paused(line, environment="staging")
    end_tokens(cloud)
    approved = answer(line, waiting, approve=True, name="Bob", comment="fine")
    assert approved.state == "COMPLETED", approved.message
    assert STAGING.version()["commit"] == newer
    assert asked_for(cloud, REGISTRY)
    assert CI in cloud.registry.exchanges


def build(line: Line) -> None:
    """Have a run of ci push the newest commit."""
    built = line.platform.wait(line.start("ci/commit"))
    assert built.state == "COMPLETED", built.message
    assert "built, tested and pushed" in built.message


def asked_for(cloud: Cloud, service: str) -> list[str]:
    """The scopes of all tokens for that service that the directory was asked for."""
    scopes = [one.fields.get("scope", "") for one in cloud.directory.asked if one.method == "POST"]
    return [scope for scope in scopes if service in scope]


def attach(line: Line) -> None:
    """Prepare staging for nodes that pull by an identity of their own, and have one of them pull."""
    module = ("deployments.cluster.bootstrap", "--attach", "staging")
    said = subprocesses.run(line.platform.instance, *module, failed="The bootstrap failed")
    assert "A node of embedded pulled " in said


def end_tokens(cloud: Cloud) -> None:
    """Return when all tokens that runs were given have ended, also that of the account that releases."""
    registry = cloud.registry
    wait_until(lambda: not any(map(registry.is_alive, registry.tokens)), "tokens of the registry do not end")
    cloud.directory.asked.clear()
    registry.exchanges.clear()
    account = ("serviceaccount", ACCOUNT)  # of the one that is gone, the API server takes no token any more
    STAGING.kubectl("delete", *account)
    STAGING.kubectl("create", *account)
