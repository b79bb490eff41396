"""What may run in a prepared namespace, for every user, and what a pod gets there."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from deployments.cluster import bootstrap
from flows.core.errors import ClusterNotPrepared, CredentialsRefused, ManifestsRejected, PodNotAllowed
from flows.services.kubernetes import lease
from flows.services.kubernetes.pod_policy import try_foreign
from flows.services.process.command import silent
from flows.services.registry.auth import Credentials
from tests.services.a_namespace import TRUSTED, Namespace, prepared_namespace, rules_for
from tests.support import confined
from tests.support.waiting import wait_until

DIGEST = f"sha256:{'0a' * 32}"
FOREIGN = "busybox:1.36"
ELSEWHERE = {"nodeSelector": {"label": "of-no-node"}}
OWN_SECRETS = ("slipway-registry", "slipway-release-7")


@pytest.fixture(scope="module")
def namespace(
    cluster: Any, registry_login: Credentials, some_namespace: Namespace, tmp_path_factory: Any
) -> Iterator[Namespace]:
    """One for all tests of this file that only ask what would be let in."""
    with prepared_namespace(cluster, tmp_path_factory.mktemp("pods"), registry_login) as found:
        found.kubectl("create", "serviceaccount", TRUSTED)
        found.kubectl("create", "serviceaccount", "other")
        yield found


@pytest.fixture
def own(registry_login: Credentials) -> str:
    """An image of the app, by digest."""
    return f"{registry_login.address}/slipway/base@{DIGEST}"


def container(image: str, **changed: Any) -> dict[str, Any]:
    return {"name": "app", "image": image, "securityContext": confined.CONTAINER, **changed}


def pod(image: str, **changed: Any) -> dict[str, Any]:
    """A pod's spec."""
    return {"containers": [container(image)], "securityContext": confined.POD, **changed}


def create(
    namespace: Namespace, spec: dict[str, Any], name: str = "probe", *, dry_run: bool = True
) -> dict[str, Any]:
    """The pod as the server would create it, or did, for an administrator."""
    content = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    return namespace.admin.api.create(namespace.admin.path("api/v1", "pods"), content, dry_run=dry_run)


@pytest.mark.parametrize("image", ["nowhere.test/web", f"nowhere.test/web:1@{DIGEST}"])
def test_the_apps_image_by_digest_and_what_settings_list_are_let_in(
    namespace: Namespace, own: str, image: str
) -> None:
    create(namespace, pod(own))
    create(namespace, pod(image))


@pytest.mark.parametrize("foreign", [":latest", "2@" + DIGEST, ""])
def test_a_tag_and_another_repository_are_refused_and_the_key_for_them_is_named(
    namespace: Namespace, own: str, foreign: str
) -> None:
    image = own.partition("@")[0] + foreign
    with pytest.raises(PodNotAllowed) as refused:
        create(namespace, pod(image))
    assert f"[environments.test] allowed_images: {image}." in refused.value.happened
    assert "deployments.cluster.bootstrap" in refused.value.remedy


def test_an_init_container_counts_like_any_other(namespace: Namespace, own: str) -> None:
    before = container(FOREIGN, name="before")
    with pytest.raises(PodNotAllowed, match=f"allowed_images: {FOREIGN}"):
        create(namespace, pod(own, initContainers=[before]))


def test_the_image_of_a_volume_counts_like_a_containers(namespace: Namespace, own: str) -> None:
    def mounting(image: str) -> dict[str, Any]:
        return pod(own, volumes=[{"name": "data", "image": {"reference": image}}])

    [volume] = create(namespace, mounting(own))["spec"]["volumes"]
    assert volume["image"]["reference"] == own
    with pytest.raises(PodNotAllowed, match=f"allowed_images: {FOREIGN}"):
        create(namespace, mounting(FOREIGN))


def test_a_running_pod_takes_no_foreign_image_later(namespace: Namespace, own: str) -> None:
    [running] = create(namespace, pod(own, **ELSEWHERE), "later", dry_run=False)["spec"]["containers"]
    debugger = container(FOREIGN, name="debugger")
    path = namespace.admin.path("api/v1", "pods", "later")
    merge = namespace.admin.api.merge
    with pytest.raises(PodNotAllowed, match=FOREIGN):
        merge(f"{path}/ephemeralcontainers", {"spec": {"ephemeralContainers": [debugger]}})
    with pytest.raises(PodNotAllowed, match=FOREIGN):
        merge(path, {"spec": {"containers": [{**running, "image": FOREIGN}]}})
    merge(path, {"metadata": {"labels": {"looked": "at"}}})


WORKLOADS = {
    "deployments": "apps/v1",
    "replicasets": "apps/v1",
    "statefulsets": "apps/v1",
    "daemonsets": "apps/v1",
    "jobs": "batch/v1",
    "cronjobs": "batch/v1",
}


def workload(plural: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {"probe": "pods"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    once = {"template": {"spec": {**spec, "restartPolicy": "Never"}}}
    specs = {"jobs": once, "cronjobs": {"schedule": "0 0 * * *", "jobTemplate": {"spec": once}}}
    kept: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": "probe"}, "spec": specs.get(plural, kept)}


@pytest.mark.parametrize("plural", WORKLOADS)
def test_a_workload_is_refused_before_it_makes_pods(namespace: Namespace, own: str, plural: str) -> None:
    path = namespace.admin.path(f"apis/{WORKLOADS[plural]}", plural)
    create = partial(namespace.admin.api.create, path, dry_run=True)
    create(workload(plural, pod(own)))
    with pytest.raises(PodNotAllowed, match=FOREIGN):
        create(workload(plural, pod(FOREIGN)))


def test_a_release_hears_of_it_in_its_dry_run(namespace: Namespace) -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", **workload("deployments", pod(FOREIGN))}
    with (
        lease.acquire(namespace.account, "run", 0, silent) as held,
        pytest.raises(PodNotAllowed, match=f"allowed_images: {FOREIGN}") as refused,
    ):
        namespace.account.check([deployment], held.fence)
    assert refused.value.fault == "configuration"


TOKEN = {"serviceAccountToken": {"path": "token"}}


@pytest.mark.parametrize(
    "spec",
    [
        {"serviceAccountName": "other"},
        {"serviceAccountName": "slipway-release"},
        {"automountServiceAccountToken": True},
        {"volumes": [{"name": "token", "projected": {"sources": [TOKEN]}}]},
    ],
    ids=["another account", "the releasing account", "a token", "a token as a volume"],
)
def test_a_pod_has_no_token_for_the_api_server(namespace: Namespace, own: str, spec: dict[str, Any]) -> None:
    with pytest.raises(PodNotAllowed, match=r"\[environments\.test\] service_accounts"):
        create(namespace, pod(own, **spec))


def test_a_pod_that_says_nothing_of_tokens_gets_none(namespace: Namespace, own: str) -> None:
    assert create(namespace, pod(own))["spec"].get("volumes", []) == []


def test_an_account_that_settings_list_gives_a_token(namespace: Namespace, own: str) -> None:
    found = create(namespace, pod(own, serviceAccountName=TRUSTED, automountServiceAccountToken=True))
    [volume] = found["spec"]["volumes"]
    assert any("serviceAccountToken" in source for source in volume["projected"]["sources"])


READS: dict[str, Callable[[str, str], dict[str, Any]]] = {
    "a volume": lambda own, name: pod(own, volumes=[{"name": "s", "secret": {"secretName": name}}]),
    "a projected volume": lambda own, name: pod(
        own, volumes=[{"name": "s", "projected": {"sources": [{"secret": {"name": name}}]}}]
    ),
    "a variable": lambda own, name: pod(
        own,
        containers=[
            container(own, env=[{"name": "S", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}])
        ],
    ),
    "all variables": lambda own, name: pod(
        own, containers=[container(own, envFrom=[{"secretRef": {"name": name}}])]
    ),
}


@pytest.mark.parametrize("how", READS)
def test_a_pod_reads_an_administrators_secrets_and_none_of_slipways(
    namespace: Namespace, own: str, how: str
) -> None:
    create(namespace, READS[how](own, "slipway-registry-of-the-team"))
    for name in OWN_SECRETS:
        with pytest.raises(PodNotAllowed, match="may not read the pull secret"):
            create(namespace, READS[how](own, name))


def test_a_container_without_a_limit_gets_the_ceiling_and_asks_for_little(
    namespace: Namespace, own: str
) -> None:
    resources = create(namespace, pod(own))["spec"]["containers"][0]["resources"]
    assert resources["limits"] == {"memory": "16Gi"}
    assert resources["requests"] == {"cpu": "50m", "memory": "64Mi"}
    too_much = container(own, resources={"limits": {"memory": "17Gi"}})
    with pytest.raises(CredentialsRefused, match="maximum memory usage per Container is 16Gi"):
        create(namespace, pod(own, containers=[too_much]))


def test_the_quota_counts_when_the_bootstrap_is_done(namespace: Namespace) -> None:
    quota = namespace.admin.api.get(namespace.admin.path("api/v1", "resourcequotas", "slipway"))
    assert quota
    assert quota["status"]["hard"] == quota["spec"]["hard"] == {"pods": "50"}


def network_policy(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name}
    content = {"podSelector": {}, "policyTypes": ["Egress"], **spec}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": content,
    }


def test_a_release_opens_no_way_out(namespace: Namespace) -> None:
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        namespace.account.apply([network_policy("closed", egress=[])], held.fence, silent)
        with pytest.raises(ManifestsRejected, match=r"list it in \[environments\.test\] egress"):
            namespace.account.apply([network_policy("open", egress=[{}])], held.fence, silent)
        ours = network_policy("slipway-egress", egress=[])
        with pytest.raises(CredentialsRefused, match="slipway-egress is the administrator's"):
            namespace.account.delete([ours], held.fence, silent)
    namespace.kubectl("delete", "networkpolicy/closed")


def test_a_namespace_without_the_policy_is_noticed_and_what_ran_before_it_can_still_be_scaled(
    cluster: Any, registry_login: Credentials, some_namespace: Namespace, tmp_path: Any
) -> None:
    with prepared_namespace(cluster, tmp_path, registry_login) as namespace:
        admin, account, name = namespace.admin, namespace.account, namespace.admin.namespace
        with lease.acquire(account, "run", 0, silent) as held:
            account.require_pod_policy(held.fence)
            namespace.kubectl("delete", "validatingadmissionpolicybinding", f"slipway-pods-{name}")
            wait_until(lambda: not refuses_foreign(account, held.fence), "The policy is still in force")
            with pytest.raises(ClusterNotPrepared, match=r"pods with any image.*cluster\.bootstrap"):
                account.require_pod_policy(held.fence)
            namespace.kubectl("create", "deployment", "old", f"--image={FOREIGN}", "--replicas=0")
            bootstrap.create(admin, rules_for(name, registry_login), registry_login)
            wait_until(lambda: refuses_foreign(account, held.fence), "The policy is not in force again")
        namespace.kubectl("annotate", "deployment/old", "looked=at")
        namespace.kubectl("scale", "deployment/old", "--replicas=1")
        path = admin.path("apis/apps/v1", "deployments", "old")
        with pytest.raises(PodNotAllowed):
            admin.api.merge(path, {"spec": {"template": {"spec": {"hostname": "changed"}}}})


def refuses_foreign(account: Any, fence: str) -> bool:
    try:
        account.let_in(fence, lambda: try_foreign(account.api, account.namespace, fence))
    except PodNotAllowed:
        return True
    return False
