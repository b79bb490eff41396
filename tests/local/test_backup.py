"""A backup of a real server's database and secrets, restored into another, empty platform."""

import json
import stat
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from rich.console import Console

from deployments.local import platform
from deployments.local.commands import backup, restore
from deployments.local.docker import engine
from deployments.local.docker.engine import connect, ensure_network
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import auth, server
from deployments.local.progress import Display, Steps
from deployments.local.stores import database
from deployments.prefect.api import PrefectApi
from flows.config.load import CHECKOUT, load, load_as
from flows.config.schema import Embedded
from flows.core.errors import PlatformFailed, SettingsError
from tests.local.cluster_under_test import free_instance
from tests.support.prefect_client import asking

NO_CLUSTER: dict[str, dict[str, object]] = {"environments": {}}


@pytest.fixture(scope="module")
def file(prefect_server: PrefectApi, instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefect_server.ensure_variable("kept_in_a_backup", {"by": "hand"})
    place = tmp_path_factory.mktemp("backup") / "backup.tar"
    settings = load().model_copy(update=NO_CLUSTER)
    return backup.back_up(instance, settings, place, Console(quiet=True))


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Instance]:
    found = free_instance("restored", tmp_path)
    try:
        yield found
    finally:
        server.down(found)
        engine.remove_all(connect(), found)


def test_only_its_owner_reads_it(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_not_in_it_is_said(
    prefect_server: PrefectApi, instance: Instance, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load().model_copy(update=NO_CLUSTER)
    backup.back_up(instance, settings, tmp_path / "backup.tar", Console(soft_wrap=True))
    assert backup.WITHOUT in capsys.readouterr().out


@pytest.mark.slow
def test_a_server_on_the_restored_database_knows_what_the_other_knew(
    file: Path, empty: Instance, prefect_server: PrefectApi, settings: WrittenSettings
) -> None:
    content = restore.read(file)
    restore.require_empty(empty)
    restore.put_secrets(empty, content)
    client = connect()
    ensure_network(client, empty)
    with Display(Console(soft_wrap=True)) as display, Steps(display) as steps:
        parts = BringUp(steps, client, empty, settings)
        restore.put_database(parts, content)
        api = parts.server().result()
    assert auth.read(empty) == prefect_server.sign_in
    assert stat.S_IMODE(auth.file(empty).stat().st_mode) == 0o600
    with asking(api) as http:
        found = http.get("/variables/name/kept_in_a_backup").raise_for_status().json()
    assert found["value"] == {"by": "hand"}
    with pytest.raises(PlatformFailed, match="not empty"):
        restore.require_empty(empty)
    with (
        Display(Console(soft_wrap=True)) as display,
        Steps(display) as steps,
        pytest.raises(PlatformFailed, match="not empty"),
    ):
        restore.put_database(BringUp(steps, client, empty, settings), content)


def test_the_password_of_the_database_is_not_in_it(file: Path, instance: Instance) -> None:
    assert database.ensure_access(instance).password.encode() not in file.read_bytes()


@pytest.mark.parametrize("name", ["state/../outside", "state/.bashrc", "state/prefect-sign-in/../../x"])
def test_a_file_that_would_write_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    forged = tar_file(tmp_path / "forged.tar", name)
    with pytest.raises(SettingsError, match="is not a backup"):
        restore.read(forged)


def test_a_machine_that_is_not_ready_leaves_the_platform_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_ready(*_: object) -> None:
        raise PlatformFailed("Port 4200 is in use.")

    monkeypatch.setattr(platform, "prepare", not_ready)
    packed = tar_file(tmp_path / "backup.tar", "state/prefect-sign-in")
    target = Instance("unready", CHECKOUT, tmp_path / "state", Embedded())
    with pytest.raises(PlatformFailed, match="in use"):
        restore.restore(target, load_as(WrittenSettings), packed, Console(quiet=True))
    restore.require_empty(target)


def tar_file(file: Path, secret: str) -> Path:
    """What a backup holds, with one secret of that name."""
    with tarfile.open(file, "w") as files:
        for member, data in (
            ("prefect.dump", b""),
            (secret, b"x"),
            ("records/a.json", json.dumps([]).encode()),
        ):
            entry = tarfile.TarInfo(member)
            entry.size = len(data)
            files.addfile(entry, BytesIO(data))
    return file


def test_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("no tar")
    with pytest.raises(SettingsError, match="is not a backup"):
        restore.read(other)
