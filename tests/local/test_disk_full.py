"""What becomes of runs, data and the server while the disk of its database is full."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from deployments.local import supervision
from deployments.local.docker import engine
from deployments.local.docker.engine import connect, ensure_network
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import server
from deployments.local.prefect.server import SERVER
from deployments.local.progress import Display, Steps
from deployments.local.stores import database
from deployments.prefect.api import PrefectApi
from tests.local.cluster_under_test import free_instance
from tests.local.test_database_outage import is_written_to, started
from tests.support.prefect_client import asking
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.exclusive]

SIZE = 400 << 20
"""Bytes of the disk: enough for the server's tables and for PostgreSQL's log of them."""


@dataclass(frozen=True)
class Disk:
    """A file system of its own, which the database's volume is on."""

    folder: Path

    @property
    def filler(self) -> Path:
        return self.folder / "filler"

    def fill(self) -> None:
        """Leave no byte, though the database frees some now and then."""
        free = os.statvfs(self.folder)
        size = free.f_bavail * free.f_frsize + (self.filler.stat().st_size if self.filler.exists() else 0)
        with self.filler.open("ab") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(size, 1))

    def free(self) -> None:
        self.filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], check=True)
    (folder / "data").mkdir()
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def crowded(disk: Disk, tmp_path: Path, settings: WrittenSettings) -> Iterator[tuple[Instance, PrefectApi]]:
    """A server with a worker, whose database is on that disk."""
    instance = free_instance("disk", tmp_path / "state")
    client = connect()
    options = {"type": "none", "o": "bind", "device": str(disk.folder / "data")}
    try:
        client.volumes.create(
            instance.volume(database.ROLE), driver_opts=options, labels=dict(instance.labels)
        )
        ensure_network(client, instance)
        with Display(Console(soft_wrap=True)) as display, Steps(display) as steps:
            api = BringUp(steps, client, instance, settings).server().result()
        yield instance, api
    finally:
        server.down(instance)
        engine.remove_all(client, instance)


def test_a_run_goes_on_and_nothing_that_was_written_is_lost(
    crowded: tuple[Instance, PrefectApi], disk: Disk
) -> None:
    instance, api = crowded
    api.ensure_variable("written_before", "yes")
    run = started(api)
    wait_until(lambda: api.flow_run(run.id).state == "RUNNING", "The run does not begin")

    def refuses() -> bool:
        disk.fill()
        return not is_written_to(api)

    wait_until(refuses, "The server writes on a full disk")
    assert supervision.is_up(instance, SERVER)
    disk.free()
    wait_until(lambda: is_written_to(api), "The server does not write again")
    wait_until(lambda: api.flow_run(run.id).is_over, "The run does not end")
    ended = api.flow_run(run.id)
    assert (ended.state, ended.begun) == ("COMPLETED", 1)
    with asking(api) as http:
        kept = http.get("/variables/name/written_before").raise_for_status().json()
    assert kept["value"] == "yes"
