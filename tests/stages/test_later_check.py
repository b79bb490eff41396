"""What `verify` makes of a live release: how long its replicas have, and what degrades it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from flows import verify as flow
from flows.config import load as configuration
from flows.core.errors import EdgeNotInOrder, ProofFailed, RolloutFailed, SlipwayError
from flows.core.release.decision import EnvironmentSnapshot, Observed
from flows.core.release.record import Record
from flows.credentials import environment
from flows.services.kubernetes import rollout_watch
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.lease import HeldLease
from flows.services.kubernetes.release_store import Records
from flows.stages import release
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock
from tests.core.releases import deployed
from tests.core.rollouts import NO_MEMORY, pod
from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.scaling_cluster import NOMINATED, one_replica, scaling_cluster
from tests.support.a_record import good

LIVE = good(4)
UP, DOWN = replace(deployed(), ready=3), replace(deployed(whole=False), ready=0)
REFUSED = EdgeNotInOrder("No load balancer accepts a connection.", finding="refused")
BAD_GATEWAY = ProofFailed("/version answered 502.", fault="infrastructure")
WRONG = ProofFailed("app-1 answers wrong.")


@dataclass(frozen=True)
class Checked:
    """A run that checks staging, what it logs, and its cluster."""

    run: RunContext
    lock: EnvironmentLock
    said: list[str]

    def degraded(self) -> str:
        return Records(self.lock.held.cluster).history()[0].degraded


Verify = Callable[[Checked, SlipwayError | None], None]


def checking(cluster: Cluster, folder: Path, **changes: Any) -> Checked:
    settings, said = configuration.load(), list[str]()
    staging = settings.environment("staging").model_copy(update=changes)
    settings = settings.model_copy(update={"environments": {"staging": staging}})
    run = RunContext(
        "run-9", settings, folder, said.append, lambda _: print, environment, _clusters={"staging": cluster}
    )
    held = HeldLease(cluster, "run-9", {"spec": {"leaseTransitions": 1}})
    return Checked(run, EnvironmentLock("staging", held), said)


@dataclass(frozen=True)
class Running(Cluster):
    """A namespace whose Deployment is fixed."""

    observed: Observed | None = None

    def live(self) -> Observed | None:
        return self.observed


@contextmanager
def keeping(record: Record, observed: Observed | None, folder: Path) -> Iterator[Checked]:
    """A check of what is `observed`, with an API server that keeps this record."""
    secrets: dict[str, Any] = {}

    class ApiServer(JsonHandler):
        def do_GET(self) -> None:  # http.server's name
            path, _, query = self.path.partition("?")
            found = {"items": list(secrets.values())} if query else secrets.get(path.rpartition("/")[2])
            self.answer(404 if found is None else 200, found or {"message": "not found"})

        def do_POST(self) -> None:  # http.server's name
            self.keep()

        def do_PUT(self) -> None:  # http.server's name
            self.keep()

        def keep(self) -> None:
            content = yaml.safe_load(self.rfile.read(int(self.headers["Content-Length"])))
            content["metadata"]["resourceVersion"] = "1"
            secrets[content["metadata"]["name"]] = content
            self.answer(200, content)

    with serving(ApiServer) as address:
        content = {
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
            "clusters": [{"name": "here", "cluster": {"server": address}}],
            "users": [{"name": "here", "user": {}}],
        }
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(content))
        check = checking(Running(kubeconfig, "here", "staging", "classifier", observed=observed), folder)
        Records(check.lock.held.cluster).write(record, check.lock.held.fence)
        yield check


def test_replicas_have_the_time_of_a_rollout_to_get_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rollout_watch, "POLL", 0.02)
    made = one_replica(pod(condition=NO_MEMORY), events=(NOMINATED,))
    with scaling_cluster(made, "web", tmp_path) as cluster:
        check = checking(cluster, tmp_path, rollout_timeout=0.1, rollout_patience=1)
        late = "is not whole: The rollout was not done within 0 s, and 1 s for room or images to come"
        with pytest.raises(RolloutFailed, match=late) as failed:
            release.require_whole(check.run, check.lock, LIVE)
    assert failed.value.fault == "infrastructure"


@pytest.fixture
def verify_with(monkeypatch: pytest.MonkeyPatch) -> Verify:
    """Verifies what is live, without Prefect: the check of its replicas, or of the URL, ends as given."""

    def nothing(*_: object, **__: object) -> str:
        return ""

    def verify_with(check: Checked, failure: SlipwayError | None) -> None:
        def fail(*_: object) -> str:
            if failure is not None:
                raise failure
            return ""

        history = tuple(Records(check.lock.held.cluster).history())
        table = SimpleNamespace(
            observe=lambda *_: EnvironmentSnapshot(deployed(), history),
            require_whole=nothing,
            verify_endpoint=fail if isinstance(failure, EdgeNotInOrder) else nothing,
            verify_replicas=fail,
            mark_degraded=release.mark_degraded,
        )
        monkeypatch.setattr(flow, "tasks", table)
        monkeypatch.setattr(flow, "environment_lock", lambda *_: nullcontext(check.lock))
        monkeypatch.setattr(flow, "show", nothing)
        monkeypatch.setattr(flow, "artifacts", SimpleNamespace(update_history_page=nothing))
        with pytest.raises(type(failure)) if failure else nullcontext():
            flow.verify_one(check.run, "staging", {})

    return verify_with


@pytest.mark.parametrize("failure", [REFUSED, BAD_GATEWAY])
def test_a_fault_between_here_and_the_replicas_leaves_the_release_good(
    verify_with: Verify, failure: SlipwayError, tmp_path: Path
) -> None:
    with keeping(LIVE, UP, tmp_path) as check:
        verify_with(check, failure)
        assert check.degraded() == ""
        assert check.said == [f"{LIVE} stays good: the infrastructure is at fault."]


def test_a_fault_between_here_and_the_replicas_proves_nothing_of_a_degraded_release(
    verify_with: Verify, tmp_path: Path
) -> None:
    with keeping(replace(LIVE, degraded=WRONG.happened), UP, tmp_path) as check:
        verify_with(check, BAD_GATEWAY)
        assert check.degraded() == WRONG.happened
        verify_with(check, None)
        assert check.degraded() == ""


@pytest.mark.parametrize("failure", [REFUSED, BAD_GATEWAY])
def test_what_is_entirely_down_is_degraded_whatever_is_at_fault(
    verify_with: Verify, failure: SlipwayError, tmp_path: Path
) -> None:
    with keeping(LIVE, DOWN, tmp_path) as check:
        verify_with(check, failure)
        assert check.degraded() == f"no replica is ready: {failure.happened}"


def test_a_release_that_answers_wrong_is_degraded(verify_with: Verify, tmp_path: Path) -> None:
    with keeping(LIVE, UP, tmp_path) as check:
        verify_with(check, WRONG)
        assert check.degraded() == WRONG.happened
