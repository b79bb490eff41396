"""Rollouts of real pods on the embedded cluster, each going wrong in a way of its own, and right ones."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from deployments.local.docker import images
from deployments.local.docker.engine import connect
from deployments.local.stores import registry as registries
from deployments.local.stores.registry import RegistryAccess
from flows.config.load import EMBEDDED
from flows.core.errors import ClusterUnavailable, RolloutFailed
from flows.core.rollout.verdict import Done
from flows.services.kubernetes import rollout_watch
from flows.services.kubernetes.cluster import Cluster
from flows.services.process.command import silent
from tests.stand_ins.unreliable_network import UnreliableLine, breaking_line
from tests.support.waiting import wait_until

Json = dict[str, Any]
LONG = 90.0
"""Seconds of a deadline that no verdict here comes near to."""

SHORT = 20.0
SERVE = ["python3", "-m", "http.server", "8000"]
ALWAYS = {"exec": {"command": ["true"]}, "periodSeconds": 1}
STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
VERDICT = "The rollout can't succeed: "
DEADLINE = f"The rollout was not done within {SHORT:.0f} s: "


@dataclass(frozen=True)
class Lab:
    """A namespace on the embedded cluster, with secrets that open the registry, and one that doesn't."""

    kubeconfig: Path
    namespace: str
    image: str

    @cached_property
    def api(self) -> client.ApiClient:
        """An administrator's connection."""
        found: client.ApiClient = config.new_client_from_config(str(self.kubeconfig), EMBEDDED)  # type: ignore[no-untyped-call]  # only its API is typed
        return found

    def cluster(self, deployment: str) -> Cluster:
        return Cluster(self.kubeconfig, EMBEDDED, self.namespace, deployment)

    def deploy(self, name: str, container: Json, pod: Json | None = None, replicas: int = 1) -> Cluster:
        """Create or replace a Deployment of the base image; the cluster whose Deployment that is."""
        app = {
            "name": "app",
            "image": self.image,
            "command": SERVE,
            "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
            **container,
        }
        spec = {
            "imagePullSecrets": [{"name": "right"}],
            "terminationGracePeriodSeconds": 1,
            "containers": [app],
            **(pod or {}),
        }
        deployment: Any = {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "100%"}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
            },
        }
        found = self.cluster(name)
        apps = client.AppsV1Api(self.api)
        if found.find_deployment():
            apps.replace_namespaced_deployment(name, self.namespace, deployment)
        else:
            apps.create_namespaced_deployment(self.namespace, deployment)
        return found

    def pods(self, name: str) -> list[Any]:
        core = client.CoreV1Api(self.api)
        return list(core.list_namespaced_pod(self.namespace, label_selector=f"app={name}").items)


@dataclass(frozen=True)
class Case:
    """A Deployment that goes wrong, and what the error must say."""

    fault: str
    expected: tuple[str, ...]
    container: Json = field(default_factory=dict)
    pod: Json = field(default_factory=dict)
    explained: tuple[str, ...] = ()
    timeout: float = LONG


CASES = {
    "pull-denied": Case(
        "configuration",
        (VERDICT, "the registry refuses the cluster", "check the pull secret"),
        {"imagePullPolicy": "Always"},
        {"imagePullSecrets": [{"name": "wrong"}]},
        explained=("ErrImagePull",),
    ),
    "crash-at-start": Case(
        "image",
        (
            VERDICT,
            "container app keeps crashing (exit code 3)",
            "Its last lines: ",
            "loading",
            "no such model",
        ),
        {"command": ["sh", "-c", "echo loading; echo no such model >&2; exit 3"]},
        explained=("before that: ", "    no such model"),
    ),
    "out-of-memory": Case(
        "configuration",
        (VERDICT, "container app needs more than its memory limit of 32Mi (OOMKilled)"),
        {
            "command": ["python3", "-c", "b'x' * (200 << 20)"],
            "resources": {"limits": {"memory": "32Mi"}},
        },
    ),
    "unschedulable": Case(
        "infrastructure",
        (VERDICT, "no node has enough memory for the pod: 0/2 nodes are available"),
        {"resources": {"requests": {"memory": "1Ti"}}},
        explained=("event FailedScheduling",),
        timeout=SHORT,  # no autoscaler says that it adds no node
    ),
    "missing-config-map": Case(
        "configuration",
        (VERDICT, 'container app can\'t be created: configmap "nowhere" not found'),
        {"envFrom": [{"configMapRef": {"name": "nowhere"}}]},
    ),
    "startup-probe": Case(
        "image",
        (VERDICT, "container app failed its startup probe: ", "404", "Its last lines: ", "GET /readyz"),
        {
            "startupProbe": {
                "httpGet": {"path": "/readyz", "port": 8000},
                "periodSeconds": 1,
                "failureThreshold": 3,
            }
        },
        explained=("event Killing: Container app failed startup probe",),
    ),
    "bad-command": Case(
        "image",
        (VERDICT, "container app can't be started", "/nowhere/serve"),
        {"command": ["/nowhere/serve"]},
    ),
    "missing-service-account": Case(
        "configuration",
        (VERDICT, 'no pod may be created: pods "', 'serviceaccount "nobody" not found'),
        pod={"serviceAccountName": "nobody"},
        explained=("FailedCreate: ",),
    ),
    "missing-secret-volume": Case(
        "configuration",
        (DEADLINE, "ContainerCreating", 'secret "nowhere" not found'),
        {"volumeMounts": [{"name": "key", "mountPath": "/key"}]},
        {"volumes": [{"name": "key", "secret": {"secretName": "nowhere"}}]},
        timeout=SHORT,
    ),
    "never-ready": Case(
        "image",
        (DEADLINE, "0 of 1 new replicas ready", "running, not ready"),
        {"readinessProbe": {"httpGet": {"path": "/readyz", "port": 8000}, "periodSeconds": 1}},
        explained=("event Unhealthy: Readiness probe failed", "GET /readyz"),
        timeout=SHORT,
    ),
}


@pytest.fixture(scope="module")
def lab(cluster: Path, registry: RegistryAccess) -> Iterator[Lab]:
    docker = connect()
    base = registries.push_base(docker, images.ensure(docker, images.BASE, print), registry, print)
    found = Lab(cluster, f"watch-{time.time_ns()}", base)
    with _namespace(found) as core:
        for name, password in (("right", registry.pull_password), ("wrong", "wrong")):
            login = {"auths": {registry.address: {"username": registry.pull_username, "password": password}}}
            secret: Any = {
                "metadata": {"name": name},
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": {".dockerconfigjson": json.dumps(login)},
            }
            core.create_namespaced_secret(found.namespace, secret)
        yield found


@pytest.fixture(scope="module")
def failures(lab: Lab) -> dict[str, RolloutFailed]:
    """How each case ended; they go wrong side by side."""

    def end_of(name: str) -> RolloutFailed:
        case = CASES[name]
        begun = time.monotonic()
        watched = lab.deploy(name, case.container, case.pod)
        with pytest.raises(RolloutFailed) as failed:
            rollout_watch.watch(watched, case.timeout, silent)
        print(f"{name}: {time.monotonic() - begun:.1f} s: {failed.value}")
        client.AppsV1Api(lab.api).delete_namespaced_deployment(name, lab.namespace)
        return failed.value

    with ThreadPoolExecutor(len(CASES)) as pool:
        return dict(zip(CASES, pool.map(end_of, CASES), strict=True))


def test_a_missing_image_fails_the_rollout_before_its_time_is_up(lab: Lab) -> None:
    missing = lab.image.partition("@")[0] + ":missing"
    watched = lab.deploy("missing-tag", {"image": missing}, replicas=2)
    with pytest.raises(RolloutFailed) as failed:
        rollout_watch.watch(watched, LONG, silent)
    assert failed.value.happened.startswith(f"{VERDICT}the registry has no image {missing}")
    assert failed.value.fault == "image"


@pytest.mark.parametrize("name", CASES)
def test_a_rollout_that_fails_says_why_and_whose_fault_it_is(
    failures: dict[str, RolloutFailed], name: str
) -> None:
    failed, case = failures[name], CASES[name]
    assert failed.happened.startswith(case.expected[0])
    assert [words for words in case.expected if words not in failed.happened] == [], failed.happened
    assert [words for words in case.explained if words not in failed.details] == []
    assert failed.fault == case.fault


@pytest.mark.slow
def test_a_quota_without_room_refuses_the_rollout(lab: Lab) -> None:
    small = replace(lab, namespace=f"{lab.namespace}-small")
    with _namespace(small) as core:
        quota: Any = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
        core.create_namespaced_resource_quota(small.namespace, quota)
        with pytest.raises(RolloutFailed, match="exceeded quota: none") as failed:
            rollout_watch.watch(small.deploy("web", {}), SHORT, silent)
    assert failed.value.happened.startswith(f"{VERDICT}no pod may be created")
    assert failed.value.fault == "configuration"


def test_a_healthy_rollout_is_done_when_the_last_old_pod_is_gone(lab: Lab) -> None:
    slow_to_end = {"terminationGracePeriodSeconds": 4}
    first = lab.deploy("healthy", {"command": STUBBORN, "readinessProbe": ALWAYS}, slow_to_end, replicas=2)
    assert rollout_watch.watch(first, LONG, silent) == Done(2)
    old = {pod.metadata.name for pod in lab.pods("healthy")}
    said: list[str] = []
    second = lab.deploy("healthy", {"command": SERVE}, slow_to_end, replicas=2)
    assert rollout_watch.watch(second, LONG, said.append) == Done(2)
    left = {pod.metadata.name for pod in lab.pods("healthy")}
    assert left == set(rollout_watch.look(second).names)
    assert set(rollout_watch.look(second).restarts.values()) == {0}
    assert not left & old
    assert "2 of 2 new replicas ready; 2 old replicas still ending" in said


def further(name: str, kind: str, lab: Lab, command: list[str], **spec: Any) -> Json:
    """Another workload of the same release, as it is in its record."""
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "imagePullSecrets": [{"name": "right"}],
            "containers": [{"name": "it", "image": lab.image, "command": command}],
            **({"restartPolicy": "Never"} if kind == "Job" else {}),
        },
    }
    selector = {"selector": {"matchLabels": {"app": name}}} if kind == "Deployment" else {}
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**selector, "template": template, **spec},
    }


def test_a_further_deployment_that_crashes_fails_the_rollout_of_an_app_that_is_well(lab: Lab) -> None:
    app = lab.deploy("with-worker", {})
    worker = further("worker", "Deployment", lab, ["sh", "-c", "echo no queue; exit 1"])
    app.set_up([worker])
    with pytest.raises(RolloutFailed) as failed:
        rollout_watch.watch(app, LONG, silent, objects=[worker])
    assert failed.value.happened.startswith(f"{VERDICT}Deployment worker: container it keeps crashing")
    assert "Its last lines: no queue" in failed.value.happened
    assert failed.value.fault == "image"  # it runs the app's
    assert "Pod worker-" in failed.value.details


def test_a_rollout_waits_for_its_jobs_and_fails_with_them(lab: Lab) -> None:
    app = lab.deploy("with-job", {})
    good = further("good-job", "Job", lab, ["sleep", "2"])
    bad = further("bad-job", "Job", lab, ["sh", "-c", "echo no table; exit 3"], backoffLimit=0)
    app.set_up([good])
    said: list[str] = []
    assert rollout_watch.watch(app, LONG, said.append, objects=[good]) == Done(1)
    assert any("Job good-job: not completed yet" in line for line in said)
    app.set_up([bad])
    with pytest.raises(RolloutFailed, match=r"Job bad-job: it failed: .*Its last lines: no table") as failed:
        rollout_watch.watch(app, LONG, silent, objects=[good, bad])
    assert failed.value.fault == "image"


def test_an_api_server_that_is_away_for_a_while_does_not_end_the_watch(lab: Lab, tmp_path: Path) -> None:
    lab.deploy("patient", {})
    with _line(lab, "patient", tmp_path) as (line, watched):
        said: list[str] = []
        looks = count()

        def look() -> None:
            match next(looks):
                case 0:
                    line.break_off()
                case 3:
                    line.mend()

        assert rollout_watch.watch(watched, LONG, said.append, look) == Done(1)
    assert said.count(rollout_watch.AWAY) == 1


def test_an_api_server_that_stays_away_ends_the_watch_when_patience_does(lab: Lab, tmp_path: Path) -> None:
    lab.deploy("forlorn", {})
    with _line(lab, "forlorn", tmp_path) as (line, watched):
        line.break_off()
        said: list[str] = []
        begun = time.monotonic()
        with pytest.raises(ClusterUnavailable):
            rollout_watch.watch(watched, LONG, said.append, patience=2)
    assert time.monotonic() - begun >= 2
    assert said == [rollout_watch.AWAY]


def test_what_is_called_at_each_look_can_end_the_watch(lab: Lab) -> None:
    class LockLostError(Exception):
        pass

    def look() -> None:
        raise LockLostError

    with pytest.raises(LockLostError):
        rollout_watch.watch(lab.cluster("never-deployed"), LONG, silent, look)


@contextmanager
def _namespace(lab: Lab) -> Iterator[client.CoreV1Api]:
    """The namespace while it lasts, with the service account that every pod in it needs."""
    core = client.CoreV1Api(lab.api)
    namespace: Any = {"metadata": {"name": lab.namespace}}
    core.create_namespace(namespace)
    try:
        wait_until(
            lambda: bool(core.list_namespaced_service_account(lab.namespace).items),
            otherwise="The namespace has no service account",
        )
        yield core
    finally:
        core.delete_namespace(lab.namespace)


@contextmanager
def _line(lab: Lab, deployment: str, folder: Path) -> Iterator[tuple[UnreliableLine, Cluster]]:
    """A line to the API server that can be broken, and the cluster at its end."""
    config = yaml.safe_load(lab.kubeconfig.read_text())
    server = next(c["cluster"] for c in config["clusters"])
    host, _, port = server["server"].rpartition(":")
    with breaking_line(int(port)) as line:
        server["server"] = f"{host}:{line.port}"
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(config))
        yield line, Cluster(kubeconfig, EMBEDDED, lab.namespace, deployment)
