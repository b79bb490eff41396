"""Whether the nodes may pull, with a secret or by an identity of their own.

Nodes of the test cluster have none. The namespace's account `default` with the pull secret stands for it: the
pod names no secret, as with a registry that is attached to the cluster.
"""

import json

import pytest

from deployments.local.stores.registry import RegistryAccess
from flows.core.build.image import Image
from flows.core.errors import ClusterNotPrepared, PermanentError
from flows.services.kubernetes.attach import PULL_SECRET, attach
from flows.services.registry.auth import Credentials
from flows.services.registry.client import Registry
from tests.services.a_namespace import Namespace


@pytest.fixture
def image(registry: RegistryAccess) -> Image:
    """One of the app's, as the rules of the namespace say."""
    login = Credentials(registry.address, registry.username, registry.password)
    holder = Registry(registry.address, "slipway/base", lambda: login, insecure=True)
    return holder.image(holder.tags()[0])


def give_nodes_an_identity(namespace: Namespace, secret: str = PULL_SECRET) -> None:
    secrets = json.dumps({"imagePullSecrets": [{"name": secret}]})
    namespace.kubectl("patch", "serviceaccount", "default", f"--patch={secrets}")


def pods(namespace: Namespace) -> list[str]:
    """Those that are not ending."""
    return [
        pod["metadata"]["name"]
        for pod in namespace.admin.pods()
        if "deletionTimestamp" not in pod["metadata"]
    ]


def test_nodes_that_may_pull_do_and_nothing_is_left(namespace: Namespace, image: Image) -> None:
    give_nodes_an_identity(namespace)
    attach(namespace.admin.api, namespace.admin.namespace, image)
    assert pods(namespace) == []


def test_nodes_that_may_not_pull_are_named_with_their_identity(namespace: Namespace, image: Image) -> None:
    with pytest.raises(ClusterNotPrepared, match="The registry refuses the nodes of 'embedded'") as refused:
        attach(
            namespace.admin.api,
            namespace.admin.namespace,
            image,
            puller=lambda: "the kubelet's identity prod-agentpool",
            patience=0,
        )
    assert "Give the kubelet's identity prod-agentpool the right to pull" in refused.value.remedy
    assert pods(namespace) == []


def test_nodes_without_an_identity_pull_with_the_secret(namespace: Namespace, image: Image) -> None:
    attach(namespace.admin.api, namespace.admin.namespace, image, secret=PULL_SECRET)
    assert pods(namespace) == []


def test_a_secret_that_the_registry_refuses_is_to_be_renewed(namespace: Namespace, image: Image) -> None:
    with pytest.raises(ClusterNotPrepared, match="The registry refuses the nodes of 'embedded'") as refused:
        attach(namespace.admin.api, namespace.admin.namespace, image, secret="another", patience=0)
    assert "[registry] pull_credentials" in refused.value.remedy
    assert pods(namespace) == []


@pytest.mark.slow
def test_a_refusal_that_passes_is_waited_out(namespace: Namespace, image: Image) -> None:
    """As of a node that was attached to the registry a moment ago; the kubelet pulls again after 10 s."""
    give_nodes_an_identity(namespace, "later")
    admin = namespace.admin
    held = admin.api.get(admin.path("api/v1", "secrets", "slipway-registry"))
    assert held
    reported: list[str] = []

    def let_in(reason: str) -> None:
        if "could not pull" in reason and not reported:
            content = {"metadata": {"name": "later"}, "type": held["type"], "data": held["data"]}
            admin.api.create(admin.path("api/v1", "secrets"), content)
            reported.append(reason)

    attach(admin.api, admin.namespace, image, say=let_in)
    assert reported


def test_an_image_that_the_registry_lacks_is_reported_at_once(namespace: Namespace, image: Image) -> None:
    give_nodes_an_identity(namespace)
    missing = Image(image.repository, f"sha256:{'0' * 64}")
    with pytest.raises(PermanentError, match="does not find"):
        attach(namespace.admin.api, namespace.admin.namespace, missing)
    assert pods(namespace) == []


def test_a_pod_that_no_administrator_allowed_is_reported(namespace: Namespace, image: Image) -> None:
    with pytest.raises(PermanentError, match="cannot create resource"):
        attach(namespace.account.api, namespace.admin.namespace, image)
    assert pods(namespace) == []
