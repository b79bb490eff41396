"""What the account that releases may do, and above all what it may not."""

from dataclasses import replace
from typing import Any

import pytest

from flows.core.errors import ClusterNotPrepared, CredentialsRefused
from flows.services.kubernetes import lease
from flows.services.kubernetes.fence import LEASE, fenced
from flows.services.process.command import silent
from tests.services.a_namespace import Namespace, config_map
from tests.support import confined


def test_it_finds_its_own_namespace_and_no_other(namespace: Namespace) -> None:
    namespace.account.require_namespace()
    with pytest.raises(ClusterNotPrepared, match=r"may not see the namespace 'default'"):
        replace(namespace.account, namespace="default").require_namespace()
    with pytest.raises(CredentialsRefused, match=r"cannot list resource .namespaces"):
        namespace.account.api.get("/api/v1/namespaces")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/default/secrets",
        "/api/v1/namespaces/kube-system/configmaps",
        "/apis/apps/v1/namespaces/default/deployments",
        "/apis/apps/v1/deployments",
        "/api/v1/nodes",
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    ],
)
def test_it_reads_nothing_beyond_its_namespace(namespace: Namespace, path: str) -> None:
    assert namespace.admin.api.get(path) is not None
    with pytest.raises(CredentialsRefused, match=r"cannot (get|list) resource"):
        namespace.account.api.get(path)


def test_it_writes_nothing_to_another_namespace(namespace: Namespace) -> None:
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        elsewhere = replace(namespace.account, namespace="default")
        with pytest.raises(CredentialsRefused, match="cannot"):
            elsewhere.apply([config_map("a")], held.fence, silent)
    assert replace(namespace, admin=replace(namespace.admin, namespace="default")).data("a") is None


@pytest.mark.parametrize(
    ("group", "plural"),
    [
        ("api/v1", "pods"),
        ("api/v1", "serviceaccounts"),
        ("api/v1", "serviceaccounts/default/token"),
        ("api/v1", "serviceaccounts/slipway-release/token"),
        ("apis/rbac.authorization.k8s.io/v1", "roles"),
        ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
        ("apis/coordination.k8s.io/v1", "leases"),
        ("apis/apps/v1", "statefulsets"),
        ("api/v1", "events"),
    ],
)
def test_it_creates_nothing_that_no_release_needs(namespace: Namespace, group: str, plural: str) -> None:
    with pytest.raises(CredentialsRefused, match="cannot create resource"):
        namespace.account.api.create(namespace.account.path(group, plural), {"metadata": {"name": "a"}})


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        (
            "kubernetes.io/service-account-token",
            {"annotations": {"kubernetes.io/service-account.name": "default"}},
        ),
        ("Opaque", {}),
    ],
)
def test_it_has_no_secret_filled_with_another_accounts_token(
    namespace: Namespace, kind: str, extra: dict[str, Any]
) -> None:
    secrets = namespace.account.path("api/v1", "secrets")
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        metadata = fenced({"name": "token", **extra}, held.fence)
        content = {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata}
        with pytest.raises(CredentialsRefused, match=r"slipway\.dev/release\.v1 alone"):
            namespace.account.let_in(held.fence, lambda: namespace.account.api.create(secrets, content))
    assert namespace.admin.api.get(f"{secrets}/token") is None


def test_it_neither_changes_nor_deletes_a_secret_that_is_no_record(namespace: Namespace) -> None:
    path = namespace.account.path("api/v1", "secrets", "slipway-registry")
    pull_secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "slipway-registry"}}
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        found = namespace.account.api.get(path)
        assert found
        changes = {"metadata": fenced({}, held.fence), "data": {".dockerconfigjson": "e30="}}
        with pytest.raises(CredentialsRefused, match="alone"):
            namespace.account.let_in(held.fence, lambda: namespace.account.api.merge(path, changes))
        with pytest.raises(CredentialsRefused, match="alone"):
            namespace.account.delete([pull_secret], held.fence, silent)
    unchanged = namespace.admin.api.get(path)
    assert unchanged
    assert unchanged["data"] == found["data"]


@pytest.mark.parametrize("has_lease", [True, False])
def test_others_write_there_as_ever(namespace: Namespace, has_lease: bool) -> None:
    if not has_lease:
        namespace.kubectl("delete", "lease", LEASE)
    namespace.kubectl("create", "configmap", "by-hand")
    namespace.kubectl("create", "secret", "generic", "by-hand")
    namespace.kubectl("delete", "configmap/by-hand", "secret/by-hand")


HARMFUL: dict[str, dict[str, Any]] = {
    "a privileged container": {"containers": [{"securityContext": {"privileged": True}}]},
    "the node's files": {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]},
    "the node's network": {"hostNetwork": True},
    "root": {"securityContext": {"runAsUser": 0}},
}


@pytest.mark.parametrize("spec", HARMFUL.values(), ids=HARMFUL.keys())
def test_a_pod_that_asks_for_more_than_the_app_needs_is_refused_to_all(
    namespace: Namespace, spec: dict[str, Any]
) -> None:
    """Pod Security Standards, "Restricted"."""
    container = {"name": "app", "image": "nowhere.test/app", "securityContext": confined.CONTAINER}
    good = {"containers": [container], "securityContext": confined.POD}
    pods = namespace.admin.path("api/v1", "pods")

    def create(name: str, spec: dict[str, Any]) -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        namespace.admin.api.create(pods, pod)

    containers = [{**container, **changed} for changed in spec.get("containers", [{}])]
    with pytest.raises(CredentialsRefused, match='violates PodSecurity "restricted'):
        create("harmful", {**good, **spec, "containers": containers})
    create("good", good)
