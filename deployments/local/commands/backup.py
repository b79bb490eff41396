"""One file with what can't be made again: Prefect's database, the platform's secrets, the release records."""

import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import docker
from rich.console import Console

from deployments.local.docker.engine import connect
from deployments.local.instance import Instance
from deployments.local.stores import database
from flows.config.load import Settings
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.release_store import NOTES, TYPE
from flows.services.process.files import write_private
from flows.stages.clusters import cluster_of

DUMP, STATE, RECORDS = "prefect.dump", "state", "records"
"""Names in the file: the database, the folder of secrets, and of lists of objects, one per environment."""

SECRETS = ("prefect-sign-in", "registry", "blob-store", "kubernetes")
"""Of the state folder. The database's password is not among them: a restored platform makes its own."""

SERVER_SET = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation")
"""Fields of an object's metadata that only the API server sets."""

WITHOUT = "Not in it: the registry's images and the blob store's models. Publish the models and run ci again."


def back_up(instance: Instance, settings: Settings, file: Path | None, console: Console) -> Path:
    """Write the backup, readable by its owner alone, and say what is in it.

    `PlatformFailed` where the database does not run, `ClusterUnavailable` where an environment's records
    can't be read.
    """
    file = file or Path(f"slipway-backup-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar")
    records = {name: records_of(cluster_of(settings, name)) for name in settings.environments}
    write_private(file, content(connect(), instance, records))
    kept = ", ".join(f"{len(found)} of {name}" for name, found in records.items()) or "none"
    console.print(f"Backup: {file} (Prefect's database, the platform's secrets, records: {kept})")
    console.print(WITHOUT)
    return file


def content(client: docker.DockerClient, instance: Instance, records: dict[str, list[Any]]) -> bytes:
    """The tar file."""
    with BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as files:
            _add(files, DUMP, database.dump(client, instance))
            for path in _secret_files(instance.state):
                _add(files, f"{STATE}/{path.relative_to(instance.state)}", path.read_bytes())
            for name, found in records.items():
                _add(files, f"{RECORDS}/{name}.json", json.dumps(found).encode())
        return packed.getvalue()


def records_of(cluster: Cluster) -> list[dict[str, Any]]:
    """The Secrets of the environment's releases and the ConfigMap of its notes, without server-set fields."""
    query = f"?fieldSelector=type%3D{TYPE.replace('/', '%2F')}"
    secrets = cluster.api.get(cluster.path("api/v1", "secrets") + query)
    found = [{"apiVersion": "v1", "kind": "Secret", **one} for one in (secrets or {"items": []})["items"]]
    if notes := cluster.api.get(cluster.path("api/v1", "configmaps", NOTES)):
        found.append(notes)
    for one in found:
        one["metadata"] = {k: v for k, v in one["metadata"].items() if k not in SERVER_SET}
    return found


def _secret_files(state: Path) -> Iterator[Path]:
    for name in SECRETS:
        place = state / name
        yield from (path for path in (place, *sorted(place.rglob("*"))) if path.is_file())


def _add(files: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o600, int(datetime.now(UTC).timestamp())
    files.addfile(entry, BytesIO(data))
