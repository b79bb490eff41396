"""Trying an image out on the real engine: the container of the smallest app, behaving and misbehaving."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.local.docker.engine import connect
from flows.core.build.capsule import Capsule
from flows.core.errors import EngineUnavailable, PermanentError, TrialFailed
from flows.core.model.manifest import parse
from flows.services.images import smoke_test
from flows.services.images.container_engine import RUN_LABEL, ContainerEngine
from flows.services.images.networks import runs_with_networks
from flows.services.images.smoke_test import Expected, Limits
from flows.services.process.command import silent
from flows.services.verification.probe import is_ready
from flows.services.verification.public_endpoint import PublicEndpoint
from tests.services.conftest import DIGITS, Context, build
from tests.services.looking import LOOK
from tests.stand_ins.unreliable_network import breaking_line
from tests.support.waiting import wait_until

pytestmark = pytest.mark.apart

DOCKER_SOCKET = Path("/var/run/docker.sock")
EXPECTED = Expected(
    Capsule("c" * 64), parse((DIGITS / "manifest.json").read_bytes(), source="the digits' manifest")
)
LIMITS = Limits(port=8000, ready=10, stop=3)


Built = Callable[..., str]


@pytest.fixture
def built(engine: ContainerEngine, context: Context, base_image: str) -> Built:
    """Builds an app of this behaviour; the image's id."""

    def build_image(**behaviour: str) -> str:
        arguments = {"CAPSULE": EXPECTED.capsule.hash, "COMMIT": "1" * 40}
        return engine.build(build(context(**behaviour), base_image, None, **arguments), silent)

    return build_image


def left(engine: ContainerEngine) -> list[str]:
    ours = f"{RUN_LABEL}={engine.run}"
    found = connect().containers.list(all=True, filters={"label": ours}, ignore_removed=True)
    networks = connect().networks.list(filters={"label": ours})
    return [*(str(one.name) for one in found), *(str(one.name) for one in networks)]


def test_a_good_image_gets_ready_answers_every_example_and_stops(
    engine: ContainerEngine, built: Built
) -> None:
    seen = smoke_test.smoke_test(engine, built(), EXPECTED, LIMITS, silent)
    assert seen.examples == len(EXPECTED.manifest.examples)
    assert seen.ready_after < LIMITS.ready
    assert seen.stopped_after < LIMITS.stop
    assert left(engine) == []


def test_an_image_says_at_the_port_of_its_probes_that_it_is_ready(
    engine: ContainerEngine, built: Built
) -> None:
    image = built()
    assert smoke_test.smoke_test(engine, image, EXPECTED, replace(LIMITS, probe_port=8001), silent).examples
    with pytest.raises(TrialFailed, match="was not ready within 1 s"):
        smoke_test.smoke_test(engine, image, EXPECTED, replace(LIMITS, probe_port=8002, ready=1), silent)


@pytest.mark.parametrize(
    ("app", "limits", "message"),
    [
        ("dies", LIMITS, r"exit code 1\. Its last lines: .*the app has died as it was asked to\. "),
        ("hangs", replace(LIMITS, ready=1), "was not ready within 1 s"),
        ("never ready", replace(LIMITS, ready=1), "was not ready within 1 s"),
        ("answers wrong", LIMITS, "answers the model's examples wrong"),
        ("another version", LIMITS, "/version says capsule"),
        ("ignores SIGTERM", replace(LIMITS, stop=1), "did not stop within 1 s of SIGTERM"),
    ],
)
def test_a_container_that_misbehaves_fails_the_trial_with_its_last_lines(
    engine: ContainerEngine, built: Built, app: str, limits: Limits, message: str
) -> None:
    image = built(app=app)
    with pytest.raises(TrialFailed, match=message) as failure:
        smoke_test.smoke_test(engine, image, EXPECTED, limits, silent)
    assert "app is starting" in failure.value.details
    assert left(engine) == []


def test_of_a_container_that_logged_more_the_last_50_lines_are_reported(
    engine: ContainerEngine, built: Built
) -> None:
    image = built(app="dies at length")
    with pytest.raises(TrialFailed, match="ended by itself") as failure:
        smoke_test.smoke_test(engine, image, EXPECTED, LIMITS, silent)
    assert failure.value.details.splitlines() == [f"line {number} of 120" for number in range(71, 121)]


def test_an_engine_that_breaks_off_while_it_waits_for_the_end_is_not_taken_for_a_deaf_container(
    engine: ContainerEngine, built: Built
) -> None:
    image = built(app="ignores SIGTERM")
    with breaking_line(DOCKER_SOCKET) as network:

        def break_off(line: str) -> None:
            if "examples" in line:
                network.break_off()

        remote = ContainerEngine(f"tcp://127.0.0.1:{network.port}", engine.run)
        with pytest.raises(EngineUnavailable, match="does not answer"):
            smoke_test.smoke_test(remote, image, EXPECTED, replace(LIMITS, stop=30), break_off)


FURTHER = """
import socket, sys
def resolves(name):
    try:
        return bool(socket.getaddrinfo(name, 80))
    except OSError:
        return False
def connects(address, port):
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
found |= {"resolves": resolves("example.org."), "reaches another": connects(ANOTHER, 8000)}
print(json.dumps(found), flush=True)
sys.exit(1)
"""


def test_the_container_is_not_root_and_no_way_leads_out_of_its_network(
    engine: ContainerEngine, context: Context, base_image: str, built: Built
) -> None:
    another = engine.start(built(), "another")
    another.reload()
    address = another.attrs["NetworkSettings"]["IPAddress"]
    wait_until(lambda: is_ready(PublicEndpoint(f"http://{address}:8000")), "The other app is not ready")
    folder = context("looking")
    (folder / "app.py").write_text(f"ANOTHER = {address!r}\n{LOOK}{FURTHER}")
    image = engine.build(build(folder, base_image, None, CAPSULE="c" * 64, COMMIT="1" * 40), silent)
    with pytest.raises(TrialFailed, match="ended by itself") as failure:
        smoke_test.smoke_test(engine, image, EXPECTED, LIMITS, silent)
    assert json.loads(failure.value.details) == {
        "user": 10001,
        "capabilities": 0,
        "new privileges": "1",
        "writes": ["/tmp"],
        "resolves": False,
        "reaches another": False,
    }


def test_no_port_is_published(engine: ContainerEngine, built: Built) -> None:
    published: list[object] = []

    def look(_line: str) -> None:
        for container in connect().containers.list(filters={"label": f"{RUN_LABEL}={engine.run}"}):
            published.extend(filter(None, container.ports.values()))

    smoke_test.smoke_test(engine, built(), EXPECTED, LIMITS, look)
    assert published == []


def test_what_a_killed_run_left_is_removed_with_its_network(engine: ContainerEngine, built: Built) -> None:
    other = ContainerEngine(None, f"{engine.run}-killed")
    entered = other.network("trial")
    network = entered.__enter__()  # and no exit, as after a kill
    other.start(built(), "trial", network=network.name)
    assert len(left(other)) == 2
    assert runs_with_networks(connect(), RUN_LABEL) >= {other.run}
    engine.remove_containers()
    assert len(left(other)) == 2
    other.remove_containers()
    assert left(other) == []


def test_a_container_that_can_not_be_reached_is_not_the_images_fault(
    engine: ContainerEngine, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an engine on another machine: the address leads nowhere (RFC 5737)."""
    monkeypatch.setattr(smoke_test, "_address", lambda *_: "192.0.2.254")
    monkeypatch.setattr(smoke_test, "CONNECT", 0.2)
    with pytest.raises(
        PermanentError, match=r"can't be reached at 192\.0\.2\.254 from this machine"
    ) as failure:
        smoke_test.smoke_test(engine, built(), EXPECTED, replace(LIMITS, ready=1), silent)
    assert not isinstance(failure.value, TrialFailed)
    assert left(engine) == []
