import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deployments.local import preflight
from deployments.local.docker import daemon
from deployments.local.instance import Instance
from flows.config.schema import Embedded
from flows.core.errors import PlatformFailed


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def place(folder: Path, **ports: int) -> Instance:
    return Instance("slipway-unit-preflight", folder, folder / "state", Embedded(**ports))


def test_nothing_in_the_way_passes(tmp_path: Path) -> None:
    preflight.check(place(tmp_path), [], tmp_path)


def test_a_port_in_use_is_named_with_its_setting_its_user_and_the_remedy(
    busy_port: int, tmp_path: Path
) -> None:
    with pytest.raises(PlatformFailed) as caught:
        preflight.check(place(tmp_path, prefect_port=busy_port), ["prefect_port"], tmp_path)
    message = str(caught.value)
    assert f"Port {busy_port} on 127.0.0.1 is in use by {psutil.Process().name()}" in message
    assert "choose another port at [embedded] prefect_port in slipway.toml" in message
    assert "Nothing was started" in message


def test_a_dns_server_wants_its_port_by_udp_as_well(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        preflight.check(place(tmp_path, app_port=port), ["app_port"], tmp_path)
        with pytest.raises(PlatformFailed, match=rf"Port {port} .* at \[embedded\] dns_port"):
            preflight.check(place(tmp_path, dns_port=port), ["dns_port"], tmp_path)


def test_a_port_that_will_not_be_used_may_be_taken(busy_port: int, tmp_path: Path) -> None:
    preflight.check(place(tmp_path, app_port=busy_port), [], tmp_path)


def test_all_problems_are_reported_at_once(
    busy_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=3 * 1000**3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(PlatformFailed) as caught:
        preflight.check(place(tmp_path, registry_port=busy_port), ["registry_port"], tmp_path)
    message = str(caught.value)
    assert "No docker daemon answers at DOCKER_HOST=tcp://127.0.0.1:9" in message
    assert f"Port {busy_port}" in message
    assert "Only 3.0 GB are free" in message


def test_a_daemon_that_answers_is_no_obstacle() -> None:
    assert daemon.obstacle() is None
    daemon.ensure(print)
