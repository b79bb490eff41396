"""A backup into an empty platform, which is then brought up with it."""

import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Console

from deployments.local import platform
from deployments.local.commands.backup import DUMP, RECORDS, SECRETS, STATE, WITHOUT
from deployments.local.commands.run import bring_up
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings, mark_state_folder
from deployments.local.prefect import auth
from deployments.local.progress import Display, Steps
from deployments.local.stores import database
from flows.config import load as configuration
from flows.core.errors import PlatformFailed, SettingsError
from flows.services.kubernetes.cluster import Cluster
from flows.services.process.files import write_private
from flows.stages.clusters import cluster_of


@dataclass(frozen=True)
class Backup:
    """What a file holds: the database, secret files by their path in the state folder, records."""

    dump: bytes
    secrets: dict[str, bytes]
    records: dict[str, list[dict[str, Any]]]


def restore(instance: Instance, written: WrittenSettings, file: Path, console: Console) -> None:
    """Restore the file, bring the platform up, and put the release records into its environments.

    `PlatformFailed` where the platform is not empty, `SettingsError` where the file is no backup.
    """
    backup = read(file)
    require_empty(instance)
    with Display() as display, Steps(display) as steps:
        client = steps.start("Checks", platform.prepare, instance, written).result()
        put_secrets(instance, backup)
        parts = BringUp(steps, client, instance, written)
        put_database(parts, backup)
    bring_up(instance, written)
    settings = configuration.load()
    for name, found in backup.records.items():
        if name in settings.environments:
            put_records(cluster_of(settings, name), found)
            console.print(f"Records of {name}: {len(found)}")
        else:
            console.print(f"Records of {name} are not restored: slipway.toml has no such environment.")
    console.print(f"Platform {instance.name} has what {file} holds. {WITHOUT}")


def read(file: Path) -> Backup:
    """The file's content; `SettingsError` where it is not one of `make backup`'s."""
    try:
        with tarfile.open(file) as packed:
            members = {one.name: packed.extractfile(one) for one in packed.getmembers() if one.isfile()}
            content = {name: stream.read() for name, stream in members.items() if stream}
        secrets = {
            name.removeprefix(f"{STATE}/"): data
            for name, data in content.items()
            if name.startswith(f"{STATE}/")
        }
        records = {
            PurePosixPath(name).stem: json.loads(data)
            for name, data in content.items()
            if name.startswith(f"{RECORDS}/")
        }
        return Backup(content[DUMP], {_secret(name): data for name, data in secrets.items()}, records)
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise SettingsError(
            f"{file} is not a backup: {error}.", "Give the file that `make backup` has written: FILE=…"
        ) from error


def require_empty(instance: Instance) -> None:
    """`PlatformFailed` where the platform has been brought up before."""
    if auth.file(instance).exists():
        raise PlatformFailed(
            f"Platform {instance.name} is not empty: it was brought up before.",
            "Keep what you need with `make backup`, run `make clean`, then run this again.",
        )


def put_secrets(instance: Instance, backup: Backup) -> None:
    """The secrets into the state folder, for its owner alone."""
    mark_state_folder(instance.state)
    for name, data in backup.secrets.items():
        write_private(instance.state / name, data)


def put_database(parts: BringUp, backup: Backup) -> None:
    """The database, brought up and filled; `PlatformFailed` where it has tables already."""
    access = parts.database().result()
    if not database.is_empty(access):
        raise PlatformFailed("Prefect's database is not empty.", "Run `make clean`, then run this again.")
    database.load(parts.client, parts.instance, backup.dump)


def put_records(cluster: Cluster, records: Sequence[dict[str, Any]]) -> None:
    """Create the release records and notes that the environment has not."""
    for record in records:
        kind = {"Secret": "secrets", "ConfigMap": "configmaps"}[record["kind"]]
        if cluster.api.get(cluster.path("api/v1", kind, record["metadata"]["name"])) is None:
            cluster.api.create(cluster.path("api/v1", kind), record)


def _secret(name: str) -> str:
    """The name, if it is one of a secret; `ValueError` where it would lead elsewhere."""
    parts = PurePosixPath(name).parts
    if not parts or parts[0] not in SECRETS or ".." in parts:
        raise ValueError(f"{name} is no secret of a platform")
    return name
