"""What a release does to its namespace, as the account that releases."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deployments.local.docker import images
from deployments.local.docker.engine import connect
from deployments.local.instance import Instance
from deployments.local.stores.registry import RegistryAccess, push_base
from flows.core.errors import ManifestsRejected
from flows.core.release.decision import Observed
from flows.core.rollout.judge import ended_well, is_seen, judge
from flows.core.rollout.verdict import Done
from flows.services.kubernetes import lease
from flows.services.kubernetes.fence import FENCE
from flows.services.process.command import silent
from tests.services.a_namespace import Namespace, config_map
from tests.support import confined
from tests.support.frozen import frozen
from tests.support.waiting import wait_until

CONFLICT = r"Field conflict: \.data\.key is managed by kubectl-patch"
SERVES_METRICS = "cd $(mktemp -d) && echo requests_total 7 >metrics && exec python3 -m http.server 8000"


def deployment(replicas: int, image: str = "nowhere.test/web") -> dict[str, Any]:
    labels = {"app": "web"}
    container = {
        "name": "web",
        "image": image,
        "command": ["sh", "-c", SERVES_METRICS],
        "securityContext": confined.CONTAINER,
    }
    spec = {
        "containers": [container],
        "securityContext": confined.POD,
        "imagePullSecrets": [{"name": "slipway-registry"}],
        "terminationGracePeriodSeconds": 1,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}], "type": "LoadBalancer"},
}


def replicas(namespace: Namespace) -> int:
    found = namespace.account.find_deployment()
    assert found
    return int(found["spec"]["replicas"])


def test_when_one_object_is_refused_none_is_applied(namespace: Namespace) -> None:
    wrong = deployment(1) | {"spec": {"replicas": 1}}
    with (
        lease.acquire(namespace.account, "run", 0, silent) as held,
        pytest.raises(ManifestsRejected, match="containers: Required value"),
    ):
        namespace.account.apply([config_map("a"), wrong], held.fence, silent)
    assert namespace.data("a") is None


def test_what_is_applied_again_by_a_later_run_changes_hands_without_a_conflict(namespace: Namespace) -> None:
    for holder in ("run-1", "run-2", "run-3"):
        with lease.acquire(namespace.account, holder, 0, silent) as held:
            if holder == "run-2":
                namespace.account.stamp([config_map("a"), config_map("missing")], held.fence, silent)
            namespace.account.apply([config_map("a", by=holder), deployment(1)], held.fence, silent)
        assert namespace.data("a") == {"by": holder}
        found = namespace.account.find_deployment()
        assert found
        assert found["metadata"]["annotations"][FENCE] == held.fence
    assert namespace.data("missing") is None


def test_replicas_are_an_autoscalers_while_it_is_there_and_the_manifests_otherwise(
    namespace: Namespace,
) -> None:
    with lease.acquire(namespace.account, "run", 0, silent) as held:

        def apply(count: int) -> int:
            namespace.account.check([deployment(count)], held.fence)
            namespace.account.apply([deployment(count)], held.fence, silent)
            return replicas(namespace)

        assert (apply(1), apply(2)) == (1, 2)
        namespace.kubectl("scale", "deployment/web", "--replicas=5")
        assert apply(3) == 3
        namespace.kubectl("scale", "deployment/web", "--replicas=0")
        assert apply(3) == 3
        namespace.kubectl("autoscale", "deployment/web", "--min=1", "--max=9")
        assert apply(2) == 3  # it has not scaled yet
        namespace.kubectl("scale", "deployment/web", "--replicas=5")
        assert apply(2) == 5
        namespace.kubectl("delete", "hpa", "web")
        assert apply(2) == 2


def test_other_fields_are_not_taken_with_the_replicas(namespace: Namespace) -> None:
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        namespace.account.apply([deployment(1)], held.fence, silent)
        namespace.kubectl("scale", "deployment/web", "--replicas=5")
        changed = deployment(1)
        changed["spec"]["revisionHistoryLimit"] = 3
        namespace.kubectl("patch", "deployment/web", '--patch={"spec":{"revisionHistoryLimit":7}}')
        with pytest.raises(ManifestsRejected, match="revisionHistoryLimit is managed by kubectl-patch"):
            namespace.account.apply([changed], held.fence, silent)
    assert replicas(namespace) == 5


def test_a_paused_deployment_is_refused_and_resumed_where_it_is_put_back(namespace: Namespace) -> None:
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        namespace.account.apply([deployment(1)], held.fence, silent)
        namespace.kubectl("rollout", "pause", "deployment/web")
        with pytest.raises(ManifestsRejected, match="web is paused by kubectl-rollout since ") as refused:
            namespace.account.check([deployment(1)], held.fence)
        assert "kubectl rollout resume deployment/web" in refused.value.remedy
        namespace.account.apply([deployment(1)], held.fence, silent, by_force=True)
        found = namespace.account.find_deployment()
        assert found
        assert not found["spec"].get("paused")


def test_what_is_found_can_be_put_back_after_it_was_overwritten(namespace: Namespace) -> None:
    namespace.kubectl("create", "configmap", "settings", "--from-literal=key=by hand")
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        before = namespace.account.found([config_map("settings"), config_map("missing")])
        assert [item["metadata"]["name"] for item in before] == ["settings"]
        ours = config_map("settings", key="ours", other="ours")
        namespace.account.apply([ours], held.fence, silent, by_force=True)
        namespace.account.apply(before, held.fence, silent, by_force=True)
    assert namespace.data("settings") == {"key": "by hand"}


@pytest.mark.parametrize("kind", ["ServiceAccount", "StatefulSet", "Secret"])
def test_a_kind_that_a_release_may_not_hold_is_refused_by_its_name(namespace: Namespace, kind: str) -> None:
    version = "apps/v1" if kind == "StatefulSet" else "v1"
    with (
        lease.acquire(namespace.account, "run", 0, silent) as held,
        pytest.raises(ManifestsRejected, match=f"may not manage {kind} a. A release may hold: .*CronJob"),
    ):
        namespace.account.check(
            [{"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}], held.fence
        )


def test_a_field_that_another_manager_set_is_not_taken_from_it(namespace: Namespace) -> None:
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        namespace.account.apply([config_map("a", key="ours")], held.fence, silent)
        namespace.kubectl("patch", "configmap", "a", '--patch={"data":{"key":"theirs"}}')
        with pytest.raises(ManifestsRejected, match=CONFLICT):
            namespace.account.apply([config_map("a", key="ours")], held.fence, silent)
    assert namespace.data("a") == {"key": "theirs"}


def test_what_is_put_back_takes_a_field_from_the_manager_that_set_it_meanwhile(namespace: Namespace) -> None:
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        namespace.account.apply([config_map("a", key="ours")], held.fence, silent)
        namespace.kubectl("patch", "configmap", "a", '--patch={"data":{"key":"theirs"}}')
        with pytest.raises(ManifestsRejected, match=CONFLICT):
            namespace.account.check([config_map("a", key="ours")], held.fence)
        namespace.account.apply([config_map("a", key="ours")], held.fence, silent, by_force=True)
    assert namespace.data("a") == {"key": "ours"}


def test_objects_are_deleted_and_missing_ones_skipped(namespace: Namespace) -> None:
    said: list[str] = []
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        namespace.account.apply([config_map("a"), deployment(1)], held.fence, silent)
        namespace.kubectl("create", "configmap", "by-hand")
        gone = [config_map("a"), config_map("by-hand"), config_map("missing"), deployment(1)]
        namespace.account.delete(gone, held.fence, said.append)
    assert said == ["Deleted ConfigMap a.", "Deleted ConfigMap by-hand.", "Deleted Deployment web."]
    assert namespace.account.find_deployment() is None
    assert namespace.data("a") is None


def test_a_kind_that_the_cluster_does_not_know_is_named(namespace: Namespace) -> None:
    unknown = {"apiVersion": "example.test/v1", "kind": "Spaceship", "metadata": {"name": "a"}}
    with pytest.raises(ManifestsRejected, match=r"no kind 'Spaceship' of example\.test/v1"):
        namespace.account.apply([unknown], "run/1", silent)


@pytest.mark.parametrize(
    ("version", "kind"),
    [("example.test/v1", "Spaceship"), ("v1", "ServiceAccount")],
    ids=["unknown", "forbidden"],
)
def test_what_can_not_have_been_applied_keeps_nothing_from_being_stamped_or_deleted(
    namespace: Namespace, version: str, kind: str
) -> None:
    never_applied = {"apiVersion": version, "kind": kind, "metadata": {"name": "never"}}
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        namespace.account.apply([config_map("a")], held.fence, silent)
        namespace.account.stamp([never_applied, config_map("a")], held.fence, silent)
        namespace.account.delete([never_applied, config_map("a")], held.fence, silent)
    assert namespace.data("a") is None


@pytest.mark.exclusive
def test_a_run_waits_until_the_controller_has_seen_its_stamp(
    namespace: Namespace, instance: Instance, cluster: Path
) -> None:
    account, said = namespace.account, list[str]()

    def is_settled() -> bool:
        live = account.live()
        return live is not None and live.settled

    with lease.acquire(account, "run-1", 0, silent) as held:
        account.apply([deployment(0)], held.fence, silent)
        wait_until(is_settled, "The rollout of nothing has not ended")
    with lease.acquire(account, "run-2", 0, silent) as held, ThreadPoolExecutor() as pool:
        with frozen(instance, "kube-controller-manager"):
            stamped = pool.submit(account.stamp, [deployment(0)], held.fence, said.append)
            wait_until(lambda: bool(said), "It does not wait")
            assert not is_settled()
        stamped.result()
        assert is_settled()
    assert said == ["Waiting for the controller, which has not seen web as it is now."]


def test_a_rollout_that_ended_well_stays_so_whatever_becomes_of_a_replica(
    namespace: Namespace, registry: RegistryAccess
) -> None:
    client, account = connect(), namespace.account
    image = push_base(client, images.ensure(client, images.BASE, print), registry, print)
    first, second = deployment(2, image), deployment(2, image)
    second["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "SECOND", "value": "yes"}]

    def live() -> Observed:
        found = account.live()
        assert found
        return found

    def is_stable() -> bool:
        found = account.find_deployment()
        assert found
        if ended_well(found):
            assert found["status"]["updatedReplicas"] == found["status"]["availableReplicas"] == 2
        return live().whole

    with lease.acquire(account, "run", 0, silent) as held:
        for wanted in (first, second, first):  # the last one uses the first one's ReplicaSet again
            account.apply([wanted], held.fence, silent)
            wait_until(is_stable, "The pods are not ready")
            assert live().settled
        namespace.kubectl("create", "quota", "no-more", "--hard=pods=2")
        namespace.kubectl("scale", "deployment/web", "--replicas=3")
        wait_until(lambda: live().settled, "The controller has not seen the third replica")
        assert not live().whole
        namespace.kubectl("delete", "pods", "--all")
        assert live().settled
        account.apply([deployment(2)], held.fence, silent)
        wait_until(
            lambda: is_seen(account.find_deployment() or {}), "The controller has not seen the new image"
        )
        assert not live().settled


def test_the_services_addresses_are_those_that_it_reports(namespace: Namespace) -> None:
    assert namespace.account.service_addresses() == ()
    with lease.acquire(namespace.account, "run", 0, silent) as held:
        namespace.account.apply([SERVICE], held.fence, silent)
    assert namespace.account.service_addresses() == ()
    status = '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"},{"hostname":"lb.test"}]}}}'
    namespace.kubectl("patch", "service/web", "--subresource=status", f"--patch={status}")
    assert namespace.account.service_addresses() == ("192.0.2.7", "lb.test")


def test_a_pods_metrics_log_and_state_are_read_through_the_api_server(
    namespace: Namespace, registry: RegistryAccess
) -> None:
    client = connect()
    image = push_base(client, images.ensure(client, images.BASE, print), registry, print)
    account = namespace.account

    def is_done() -> bool:
        found = account.find_deployment()
        return found is not None and isinstance(judge(account.snapshot(found)), Done)

    with lease.acquire(account, "run", 0, silent) as held:
        account.apply([deployment(1, image)], held.fence, silent)
    wait_until(is_done, "The pod is not ready")
    found = account.find_deployment()
    assert found
    name = account.snapshot(found).pods[0]["metadata"]["name"]

    def has_metrics() -> bool:
        return "GET /metrics" in account.log(name, "web", lines=5, previous=False)

    assert account.metrics(name) == "requests_total 7\n"
    wait_until(has_metrics, "The log does not tell of the request")
    assert account.log(name, "web", lines=5, previous=True) == ""
    assert account.metrics("nobody") == ""
