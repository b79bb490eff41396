"""Containers of the platform's engine do not reach the address where a cloud gives a machine's identity."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.local.docker import metadata
from flows.config.load import CHECKOUT

NETWORK = Path(__file__).with_name("metadata_network.sh")


@pytest.mark.apart
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has networks of its own and a firewall")
def test_the_metadata_address_is_closed_to_containers_and_open_to_the_machine() -> None:
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", str(NETWORK)],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "container reaches 169.254.169.254",
        "container does not reach 169.254.169.254",
        "container reaches 10.99.2.2",
        "machine reaches 169.254.169.254",
        "-N DOCKER-USER",
        "-A DOCKER-USER -d 169.254.169.254/32 -j REJECT --reject-with icmp-port-unreachable",
        "-A DOCKER-USER -j RETURN",
    ]


def test_an_engine_elsewhere_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://build.example.com:2376")
    monkeypatch.setenv("PATH", "")
    said: list[str] = []
    metadata.ensure(said.append)
    assert said == []


def test_a_machine_without_a_firewall_is_warned_of_what_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    said: list[str] = []
    metadata.close(said.append)
    assert len(said) == 1
    assert said[0].startswith("containers may reach 169.254.169.254, which could not be closed: ")
