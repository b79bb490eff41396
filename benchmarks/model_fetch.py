"""How fast a model of 500 MB comes from the blob store: our fetch, azure-storage-blob as it comes, az, curl.

`python -m benchmarks.model_fetch CONNECTION_STRING` against an Azurite on loopback, as the platform has.
All write the file to the same disk; ours also computes its digest. Each runs in every round and its best
counts, since a shared machine only ever adds time. curl, which knows nothing of digests, is the floor. az is
measured with and without the time that the command takes to start, and only where it is installed (`--az`).
Ours runs in a process of its own, whose memory is measured.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from flows.services.models import azure_blobs
from flows.services.models.blob_store import BlobStore
from flows.services.models.transfer import receive, silent

if TYPE_CHECKING:  # else the process whose memory is measured had it too
    from azure.storage.blob import BlobServiceClient

SIZE = 500 * 10**6


def main() -> None:
    from azure.storage.blob import BlobServiceClient  # noqa: PLC0415  # as above

    parser = argparse.ArgumentParser(description="Fetch 500 MB from a blob store, three ways.")
    parser.add_argument("connection_string")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--az", default=shutil.which("az"), help="the Azure CLI")
    arguments = parser.parse_args()
    name = f"benchmark-{uuid.uuid4().hex[:8]}"
    with BlobServiceClient.from_connection_string(arguments.connection_string) as service:
        service.create_container(name)
        try:
            store = azure_blobs.azure(name, connection_string=arguments.connection_string)
            compare(service, store, name, arguments)
        finally:
            service.delete_container(name)


def compare(
    service: "BlobServiceClient", store: BlobStore, container: str, arguments: argparse.Namespace
) -> None:
    digest = hashlib.sha256()
    store.upload("model.onnx", noise(store.part, digest.update))
    store.replace("byte", b"1")
    url = signed_url(service, container, "model.onnx")
    text, expected = arguments.connection_string, f"sha256:{digest.hexdigest()}"
    memory: list[int] = []

    def ours(file: Path) -> float:
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            taken, used = apart.submit(fetch, text, container, file, expected).result()
        memory.append(used)
        return taken

    def azure_storage_blob(file: Path) -> None:
        with service.get_blob_client(container, "model.onnx") as client, file.open("wb") as written:
            client.download_blob().readinto(written)

    def curl(file: Path) -> None:
        subprocess.run(["curl", "--fail", "--silent", "--output", str(file), url], check=True)

    def az(file: Path) -> None:
        az_download(arguments, container, "model.onnx", file)

    def az_of_a_byte(file: Path) -> None:
        az_download(arguments, container, "byte", file)

    ways: list[Callable[[Path], float | None]] = [ours, azure_storage_blob, curl]
    ways += [az, az_of_a_byte] if arguments.az else []
    best = {way.__name__: float("inf") for way in ways}
    for _ in range(arguments.rounds):
        taken = {way.__name__: seconds(way) for way in ways}
        best = {name: min(best[name], taken[name]) for name in best}
        print("  ".join(f"{name} {value:.2f} s" for name, value in taken.items()), flush=True)
    print(
        f"Best: ours is {best['azure_storage_blob'] / best['ours']:.2f} times as fast as azure-storage-blob "
        f"and takes {best['ours'] / best['curl']:.2f} times what curl takes; its process's memory peaked at "
        f"{max(memory) / 1e6:.0f} MB."
    )
    if arguments.az:
        print(
            f"It is {best['az'] / best['ours']:.2f} times as fast as az, and "
            f"{(best['az'] - best['az_of_a_byte']) / best['ours']:.2f} times without the command's start."
        )


def fetch(connection_string: str, container: str, file: Path, digest: str) -> tuple[float, int]:
    """How long it took, in seconds, and the most bytes of memory that this process has had."""
    store = azure_blobs.azure(container, connection_string=connection_string)
    started = time.perf_counter()
    blob = store.find("model.onnx")
    assert blob is not None
    assert receive(store, blob, file, silent) == digest
    taken = time.perf_counter() - started
    # unlike getrusage, this leaves out what the parent had when it started this process
    peak = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert peak
    return taken, int(peak[1]) << 10


def az_download(arguments: argparse.Namespace, container: str, path: str, file: Path) -> None:
    command = [arguments.az, "storage", "blob", "download", "--no-progress"]
    command += ["--container-name", container, "--name", path, "--file", str(file)]
    variables = {
        "AZURE_STORAGE_CONNECTION_STRING": arguments.connection_string,
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
        "PYTHONPATH": "",
    }
    subprocess.run(command, check=True, env=os.environ | variables, stdout=subprocess.DEVNULL)


def seconds(way: Callable[[Path], float | None]) -> float:
    """As the way itself measured it, or else from its beginning to its end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        started = time.perf_counter()
        measured = way(file)
        taken = time.perf_counter() - started
        assert file.stat().st_size == (1 if way.__name__ == "az_of_a_byte" else SIZE)
    return taken if measured is None else measured


def noise(part_size: int, add: Callable[[bytes], object]) -> Iterator[bytes]:
    left = SIZE
    while left:
        part = os.urandom(min(part_size, left))
        add(part)
        left -= len(part)
        yield part


def signed_url(service: "BlobServiceClient", container: str, path: str) -> str:
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas  # noqa: PLC0415  # as above

    signature = generate_blob_sas(
        str(service.account_name),
        container,
        path,
        account_key=str(service.credential.account_key),
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"{service.get_blob_client(container, 'model.onnx').url}?{signature}"


if __name__ == "__main__":
    main()
