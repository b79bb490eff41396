"""How fast a model of 500 MB comes from the blob store: our fetch, azure-storage-blob as it comes, curl.

`python -m benchmarks.model_fetch CONNECTION_STRING` against an Azurite on loopback, as the platform has.
All three write the file to the same disk; ours also computes its digest. Each runs in every round and its
best counts, since a shared machine only ever adds time. curl, which knows nothing of digests, is the floor.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.storage.blob import BlobSasPermissions, BlobServiceClient, generate_blob_sas

from flows.services.models import blob_providers
from flows.services.models.blob_store import BlobStore
from flows.services.models.transfer import receive, silent

SIZE = 500 * 10**6


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch 500 MB from a blob store, three ways.")
    parser.add_argument("connection_string")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    name = f"benchmark-{uuid.uuid4().hex[:8]}"
    with BlobServiceClient.from_connection_string(arguments.connection_string) as service:
        service.create_container(name)
        try:
            store = blob_providers.azure(name, connection_string=arguments.connection_string)
            compare(service, store, name, arguments.rounds)
        finally:
            service.delete_container(name)


def compare(service: BlobServiceClient, store: BlobStore, container: str, rounds: int) -> None:
    digest = hashlib.sha256()
    store.upload("model.onnx", noise(store.part, digest.update))
    blob = store.find("model.onnx")
    url = signed_url(service, container)

    def ours(file: Path) -> None:
        assert blob is not None
        assert receive(store, blob, file, silent) == f"sha256:{digest.hexdigest()}"

    def azure_storage_blob(file: Path) -> None:
        with service.get_blob_client(container, "model.onnx") as client, file.open("wb") as written:
            client.download_blob().readinto(written)

    def curl(file: Path) -> None:
        subprocess.run(["curl", "--fail", "--silent", "--output", str(file), url], check=True)

    ways = (ours, azure_storage_blob, curl)
    best = {way.__name__: float("inf") for way in ways}
    for _ in range(rounds):
        taken = {way.__name__: seconds(way) for way in ways}
        best = {name: min(best[name], taken[name]) for name in best}
        print("  ".join(f"{name} {value:.2f} s" for name, value in taken.items()), flush=True)
    print(
        f"Best: ours is {best['azure_storage_blob'] / best['ours']:.2f} times as fast as azure-storage-blob "
        f"and takes {best['ours'] / best['curl']:.2f} times what curl takes; the process's memory peaked at "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB."
    )


def seconds(way: Callable[[Path], None]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        started = time.perf_counter()
        way(file)
        taken = time.perf_counter() - started
        assert file.stat().st_size == SIZE
    return taken


def noise(part_size: int, told: Callable[[bytes], object]) -> Iterator[bytes]:
    left = SIZE
    while left:
        part = os.urandom(min(part_size, left))
        told(part)
        left -= len(part)
        yield part


def signed_url(service: BlobServiceClient, container: str) -> str:
    signature = generate_blob_sas(
        str(service.account_name),
        container,
        "model.onnx",
        account_key=str(service.credential.account_key),
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"{service.get_blob_client(container, 'model.onnx').url}?{signature}"


if __name__ == "__main__":
    main()
