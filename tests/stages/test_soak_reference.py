"""With what a soak compares: what is live before the release is applied, where there is such."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.config import load as configuration
from flows.core.build.image import Image
from flows.core.errors import ClusterUnavailable
from flows.core.release.decision import Observed
from flows.core.rollout.snapshot import REVISION, Object, Snapshot
from flows.core.verification.error_rate import UNKNOWN, Answers, Outgoing
from flows.credentials import environment
from flows.procedures import deploy as procedure
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.lease import HeldLease
from flows.stages import release
from flows.stages.context import RunContext
from flows.stages.environment_lock import EnvironmentLock
from tests.support.a_record import a_record

RECORD = a_record()
METRICS = (
    "# TYPE http_requests counter\n"
    'http_requests_total{route="/",status="200"} 990\n'
    'http_requests_total{route="/",status="503"} 10\n'
)


@dataclass(frozen=True)
class TwoReplicas(Cluster):
    """A namespace with two replicas of `image`, or with nothing (""); what they say is fixed."""

    image: str = ""
    is_away: bool = False

    def live(self) -> Observed | None:
        if self.is_away:
            raise ClusterUnavailable("The API server is away.")
        if not self.image:
            return None
        return Observed(Image("r", self.image), "c", "", "", RECORD.manifests, 2, settled=True, whole=True)

    def find_deployment(self) -> Object:
        return {"metadata": {"uid": "web", "annotations": {REVISION: "1"}}}

    def snapshot(self, deployment: Object) -> Snapshot:
        sets = ({"metadata": {"uid": "set", "annotations": {REVISION: "1"}}},)
        owner = [{"uid": "set"}]
        pods = tuple(
            {"metadata": {"name": name, "uid": name, "ownerReferences": owner}} for name in ("a", "b")
        )
        return Snapshot(deployment, sets, pods)

    def metrics(self, pod: str, port: int = 8000) -> str:  # each of them says the same
        return METRICS


@pytest.fixture
def said() -> list[str]:
    return []


def at_work(
    cluster: TwoReplicas, said: list[str], tmp_path: Path, *, soak: int = 1
) -> tuple[RunContext, EnvironmentLock]:
    """A run that holds the lock of a namespace."""
    settings = configuration.load()
    staging = settings.environment("staging").model_copy(update={"soak": soak})
    settings = settings.model_copy(update={"environments": {"staging": staging}})
    run = RunContext(
        "run-1", settings, tmp_path, said.append, lambda _: print, environment, _clusters={"staging": cluster}
    )
    return run, EnvironmentLock("staging", HeldLease(cluster, "run-1", {"spec": {"leaseTransitions": 1}}))


EMPTY = TwoReplicas(None, "nowhere", "staging", "classifier")
LIVE = replace(EMPTY, image=RECORD.image.digest)


def test_what_the_live_replicas_have_answered_is_what_a_soak_compares_with(
    said: list[str], tmp_path: Path
) -> None:
    outgoing = release.count_outgoing(*at_work(LIVE, said, tmp_path))
    assert outgoing.total == Answers(2000, 20)
    assert said == ["5xx: the release before 1 % of 2000; 2 % is tolerated of the next one."]


@pytest.mark.parametrize(
    ("cluster", "soak"),
    [
        (EMPTY, 1),
        (replace(LIVE, is_away=True), 1),
        (LIVE, 0),
    ],
    ids=["nothing is live", "the cluster is away", "there is no soak"],
)
def test_without_live_replicas_or_a_soak_nothing_is_known(
    cluster: TwoReplicas, soak: int, said: list[str], tmp_path: Path
) -> None:
    assert release.count_outgoing(*at_work(cluster, said, tmp_path, soak=soak)) == UNKNOWN
    assert len(said) == int(cluster.is_away)


@pytest.fixture
def plain_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of tasks that is called without Prefect; all that needs the real cluster does nothing."""

    def nothing(*_: object, **__: object) -> str:
        return ""

    def compared(_run: RunContext, _lock: EnvironmentLock, before: Outgoing) -> str:
        return str(before)

    names = ("apply_manifests", "watch_rollout", "await_endpoint", "verify_replicas", "mark_deployed")
    stages = dict.fromkeys(names, nothing)
    table = SimpleNamespace(count_outgoing=release.count_outgoing, soak=compared, **stages)
    monkeypatch.setattr(procedure, "tasks", table)
    monkeypatch.setattr(procedure, "artifacts", SimpleNamespace(update_history_page=nothing))


@pytest.mark.usefixtures("plain_stages")
def test_a_forced_release_of_what_is_live_is_compared_with_what_that_has_answered(
    said: list[str], tmp_path: Path
) -> None:
    seen = procedure.deploy(*at_work(LIVE, said, tmp_path), RECORD, "forced: a test")
    assert seen == "; the release before 1 % of 2000"


@pytest.mark.usefixtures("plain_stages")
def test_a_release_that_a_killed_run_has_applied_is_not_compared_with_itself(
    said: list[str], tmp_path: Path
) -> None:
    seen = procedure.deploy(*at_work(LIVE, said, tmp_path), RECORD, "finished", is_applied=True)
    assert seen == "; the rate before the release is not known"
