import hashlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container as DockerContainer

from deployments.local.docker import engine, images
from deployments.local.docker.engine import Container
from deployments.local.instance import Instance
from flows.config.load import CHECKOUT
from flows.config.schema import Embedded
from flows.core.errors import EngineUnavailable, PlatformFailed, SettingsError

pytestmark = [pytest.mark.platform, pytest.mark.apart]

UNTIL_ASKED_TO_STOP = ("sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait")


@pytest.fixture(scope="module")
def client() -> docker.DockerClient:
    return engine.connect()


@pytest.fixture(scope="module")
def spec(client: docker.DockerClient) -> Container:
    image = images.ensure(client, images.BASE, print)
    return Container(role="one", image=image, command=UNTIL_ASKED_TO_STOP, volumes={"one": "/data"})


@pytest.fixture
def instance(client: docker.DockerClient, tmp_path: Path) -> Iterator[Instance]:
    name = f"slipway-test-engine-{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]}"
    found = Instance(name, CHECKOUT, tmp_path, Embedded())
    engine.remove_all(client, found)  # what a dead test run left
    yield found
    engine.remove_all(client, found)


@pytest.fixture
def other_checkout(client: docker.DockerClient, instance: Instance) -> Iterator[Instance]:
    other = replace(instance, checkout=CHECKOUT / "other")
    yield other
    engine.remove_all(client, other)


def started_at(container: DockerContainer) -> str:
    container.reload()
    assert container.status == "running"
    return str(container.attrs["State"]["StartedAt"])


def test_a_running_container_of_the_same_specification_is_left_alone(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    first = engine.ensure_container(client, instance, spec)
    before = started_at(first)
    again = engine.ensure_container(client, instance, spec)
    assert (again.id, started_at(again)) == (first.id, before)


def test_docker_keeps_only_the_end_of_what_a_container_writes(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    container = engine.ensure_container(client, instance, spec)
    assert container.attrs["HostConfig"]["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "10m", "max-file": "3"},
    }


def test_a_volume_is_read_only_to_the_container_that_asks_for_it_so(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    writer = engine.ensure_container(client, instance, spec)
    reader = engine.ensure_container(
        client, instance, replace(spec, role="two", volumes={}, read_only_volumes={"one": "/data"})
    )
    assert writer.exec_run(["touch", "/data/kept"]).exit_code == 0
    assert reader.exec_run(["test", "-f", "/data/kept"]).exit_code == 0
    refused = reader.exec_run(["touch", "/data/new"])
    assert refused.exit_code != 0
    assert b"Read-only file system" in refused.output


def test_a_killed_container_is_started_again(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    first = engine.ensure_container(client, instance, spec)
    first.kill()
    again = engine.ensure_container(client, instance, spec)
    assert again.id == first.id
    assert started_at(again)


def test_a_removed_container_is_made_again_with_its_data(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    first = engine.ensure_container(client, instance, spec)
    first.exec_run(["touch", "/data/kept"])
    first.remove(force=True)
    again = engine.ensure_container(client, instance, spec)
    assert again.exec_run(["ls", "/data"]).output == b"kept\n"


def test_another_specification_replaces_the_container(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    first = engine.ensure_container(client, instance, spec)
    changed = replace(spec, environment={"ANSWER": "42"})
    again = engine.ensure_container(client, instance, changed)
    assert again.id != first.id
    assert again.exec_run(["printenv", "ANSWER"]).output == b"42\n"


def test_another_checkout_takes_the_name_over_but_not_the_data(
    client: docker.DockerClient, instance: Instance, other_checkout: Instance, spec: Container
) -> None:
    engine.ensure_container(client, instance, spec).exec_run(["touch", "/data/mine"])
    theirs = engine.ensure_container(client, other_checkout, spec)
    assert theirs.exec_run(["ls", "/data"]).output == b""
    assert [c.id for c in engine.list_containers(client, other_checkout)] == [theirs.id]
    assert engine.list_containers(client, instance) == []

    mine = engine.ensure_container(client, instance, spec)
    assert mine.exec_run(["ls", "/data"]).output == b"mine\n"


def test_removing_all_of_one_checkout_spares_the_other(
    client: docker.DockerClient, instance: Instance, other_checkout: Instance, spec: Container
) -> None:
    engine.ensure_container(client, instance, spec)
    theirs = engine.ensure_container(client, other_checkout, spec)
    engine.remove_all(client, instance)
    assert started_at(theirs)
    volumes = {volume.name for volume in client.volumes.list()}
    assert other_checkout.volume("one") in volumes
    assert instance.volume("one") not in volumes


def test_removing_all_leaves_no_container_network_or_volume(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    engine.ensure_container(client, instance, spec)
    engine.remove_all(client, instance)
    assert engine.find_container(client, instance, spec.role) is None
    assert instance.network not in {network.name for network in client.networks.list()}
    assert instance.volume("one") not in {volume.name for volume in client.volumes.list()}


def test_a_container_of_that_name_that_is_not_slipways_is_refused_and_spared(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    name = instance.container(spec.role)
    stranger = client.containers.create(spec.image, list(UNTIL_ASKED_TO_STOP), name=name)
    try:
        with pytest.raises(SettingsError, match=f"{name} exists and is not Slipway's"):
            engine.ensure_container(client, instance, spec)
        assert client.containers.get(name).id == stranger.id
    finally:
        stranger.remove(force=True)


def test_ports_are_published_on_loopback_only(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spec = replace(spec, ports={80: port}, udp_ports={53: port})
    container = engine.ensure_container(client, instance, spec)
    container.reload()
    published = [{"HostIp": "127.0.0.1", "HostPort": str(port)}]
    assert container.ports == {"80/tcp": published, "53/udp": published}


def test_a_taken_port_is_reported_with_its_remedy(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PlatformFailed, match=rf"127\.0\.0\.1:{port}.*choose another"):
            engine.ensure_container(client, instance, replace(spec, ports={80: port}))


def test_containers_of_one_platform_find_each_other_by_role(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    engine.ensure_container(client, instance, spec)
    other = engine.ensure_container(client, instance, replace(spec, role="two", volumes={}))
    assert other.exec_run(["getent", "hosts", "one"]).exit_code == 0


def test_without_a_daemon_the_error_says_how_to_start_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/missing.sock")
    with pytest.raises(EngineUnavailable, match="service docker start"):
        engine.connect()


def test_several_processes_may_remove_the_same_platform_at_once(
    client: docker.DockerClient, instance: Instance, spec: Container
) -> None:
    engine.ensure_container(client, instance, spec)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: engine.remove_all(client, instance), range(6)))
    assert engine.find_container(client, instance, spec.role) is None
    assert instance.network not in {network.name for network in client.networks.list()}
