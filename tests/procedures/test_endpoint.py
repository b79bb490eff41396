"""The public endpoint before a release, with an API server that knows of no load balancer yet."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.config import load as configuration
from flows.core.errors import EdgeNotInOrder, ResolverUnavailable
from flows.core.release.decision import EnvironmentSnapshot, Observed
from flows.credentials import environment
from flows.services.kubernetes.cluster import Cluster
from flows.stages import release
from flows.stages.context import RunContext
from tests.core.releases import MODEL, deployed, released
from tests.stand_ins.http_server import JsonHandler, serving
from tests.support.kubeconfig import kubeconfig

GOES_ON = "The release may mend that: it is checked again after the rollout."


class ApiServer(JsonHandler):
    """Knows the Service of a release, whose load balancer is not made yet."""

    def do_GET(self) -> None:
        self.answer(200, {"kind": "Service", "status": {"loadBalancer": {}}})


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def run(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunContext]:
    """One whose staging is at a load balancer that accepts no connection."""
    with socket.socket() as silent, serving(ApiServer) as server:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setenv(
            "SLIPWAY_ENVIRONMENTS__STAGING__PUBLIC_URL", f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
        monkeypatch.setenv(
            "SLIPWAY_STATE", str(tmp_path)
        )  # without what this checkout's platform has filled in
        file = kubeconfig(tmp_path, "here", server)
        clusters = {"staging": Cluster(file, "here", "staging", "classifier")}
        yield RunContext(
            "run-1",
            configuration.load(),
            tmp_path,
            said.append,
            lambda _: print,
            environment,
            _clusters=clusters,
        )


@pytest.mark.parametrize(
    ("live", "is_rollback"),
    [(deployed(whole=False), False), (None, True)],
    ids=["release while all is down", "rollback"],
)
def test_a_load_balancer_that_accepts_nothing_yet_keeps_no_release_from_starting_that_may_mend_it(
    run: RunContext, said: list[str], live: Observed | None, is_rollback: bool
) -> None:
    release.check_endpoint(run, "staging", live, is_rollback=is_rollback)
    assert said[-1].endswith(GOES_ON)
    assert "No load balancer accepts a connection" in said[-1]


def test_before_the_first_release_no_dns_server_is_asked_for_a_name_that_is_not_made_yet(
    run: RunContext, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    release.check_endpoint(run, "staging", None)
    assert said == [f"{run.edge('staging').url} has no load balancer yet: it is checked after the rollout."]
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__LOAD_BALANCER", '["127.0.0.9"]')
    object.__setattr__(run, "settings", configuration.load())
    with pytest.raises(EdgeNotInOrder, match=r"its load balancer is 127\.0\.0\.9"):
        release.check_endpoint(run, "staging", None)


def test_a_load_balancer_that_accepts_nothing_before_whole_replicas_keeps_a_release_from_starting(
    run: RunContext,
) -> None:
    with pytest.raises(EdgeNotInOrder) as raised:
        release.check_endpoint(run, "staging", deployed())
    assert raised.value.finding == "refused"


def test_a_dns_server_that_is_away_keeps_no_rollback_from_starting(
    run: RunContext, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__PUBLIC_URL", "http://app.slipway.test")
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__RESOLVER", "127.0.0.1:1")
    monkeypatch.setattr("flows.services.verification.dns.LOOK_UP", 0.1)
    object.__setattr__(run, "settings", configuration.load())
    release.check_endpoint(run, "staging", None, is_rollback=True)
    assert said[-1].endswith(GOES_ON)
    with pytest.raises(ResolverUnavailable):
        release.check_endpoint(run, "staging", deployed())


def test_what_is_down_is_not_asked_how_quick_it_was(run: RunContext) -> None:
    live = released()
    run._model_manifests[live.content.capsule] = MODEL
    snapshot = EnvironmentSnapshot(deployed(whole=False), (live,))
    assert release.measure_outgoing(run, "staging", snapshot) is None
