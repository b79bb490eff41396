"""A download goes on where its connection broke, starts again once for another content, and fills no disk."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest

from flows.core.errors import PermanentError, StoreUnavailable
from flows.services.models import azure_blobs
from flows.services.models.blob_store import IN_FLIGHT, BlobStore
from flows.services.models.model_cache import ModelCache
from flows.services.models.model_store import ModelStore
from flows.services.models.plain_models import PlainDescription
from flows.services.models.transfer import receive, silent
from tests.services import tiny_model
from tests.stand_ins.unreliable_network import breaking_line

PARTS = IN_FLIGHT + 8
SOON = (0.05, 0.5, 2.0)


def test_a_lost_connection_costs_the_parts_on_their_way_and_not_the_download(
    azurite: str, azure: BlobStore, tmp_path: Path
) -> None:
    content = os.urandom(PARTS * azure.part)
    azure.replace("model.onnx", content)
    endpoint = urlsplit(azurite.partition("BlobEndpoint=")[2].split(";")[0])
    seen: list[int] = []
    with breaking_line(endpoint.port or 80, down=5 * azure.part) as line:

        def mend() -> None:
            line.spent.wait(30)
            line.mend()

        mending = Thread(target=mend)
        mending.start()
        through = azurite.replace(f":{endpoint.port}/", f":{line.port}/")
        container = azure.place.split("'")[1]
        broken = replace(
            azure_blobs.azure(container, connection_string=through), part=azure.part, pauses=SOON
        )
        (blob,) = broken.list_root()
        receive(broken, blob, tmp_path / "model.onnx", lambda done, _: seen.append(done))
        mending.join()
        # all that came before the break, the parts then on their way again, and answers' heads
        assert line.carried < (PARTS + IN_FLIGHT + 1) * azure.part

    assert (tmp_path / "model.onnx").read_bytes() == content
    assert seen == [number * azure.part for number in range(1, PARTS + 1)]


def test_a_connection_that_stays_lost_ends_the_download(
    folder: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.replace("model.onnx", b"weights")
    (blob,) = folder.list_root()
    tries = []

    def away(*_: object) -> memoryview:
        tries.append(1)
        raise StoreUnavailable("The line is cut.")

    monkeypatch.setattr(BlobStore, "_ranged", away)
    with pytest.raises(StoreUnavailable, match="The line is cut"):
        receive(replace(folder, pauses=(0, 0)), blob, tmp_path / "model.onnx", silent)
    assert len(tries) == 3
    assert not (tmp_path / "model.onnx").exists()


@pytest.fixture(params=[pytest.param("azure", marks=pytest.mark.platform), "folder"])
def replaceable(request: pytest.FixtureRequest) -> BlobStore:
    """A store whose etag changes with each writing; that of S3 is one of the content."""
    store = request.getfixturevalue(request.param)
    assert isinstance(store, BlobStore)
    return store


def replacing(blobs: BlobStore, path: str, content: bytes, times: int) -> Callable[[int, int], None]:
    """A progress that replaces the object when its first part has come, so many times."""
    left = [None] * times

    def progress(done: int, _: int) -> None:
        if done == blobs.part and left:
            left.pop()
            blobs.replace(path, content)

    return progress


def test_a_model_that_is_replaced_while_it_comes_is_fetched_again_once(
    replaceable: BlobStore, tmp_path: Path
) -> None:
    content = os.urandom(PARTS * replaceable.part)
    store = ModelStore(replaceable, tmp_path / "cache")
    model = store.publish(*tiny_model.write(tmp_path / "large", "1.0.0", content)).model
    path = "tiny/1.0.0/model.onnx"

    with pytest.raises(PermanentError, match=r"was replaced while it was read\. That was the second time"):
        store.fetch(model, replacing(replaceable, path, content, times=2))
    assert list((tmp_path / "cache").iterdir()) == []

    fetched = store.fetch(model, replacing(replaceable, path, content, times=1))
    assert (fetched / "model.onnx").read_bytes() == content


def test_of_a_plain_file_that_is_replaced_while_it_comes_the_new_one_is_taken(
    replaceable: BlobStore, tmp_path: Path
) -> None:
    onnx = tiny_model.write_onnx(tmp_path / "tiny.onnx").read_bytes()
    replaceable.replace("tiny/net.onnx", bytes(PARTS * replaceable.part))
    description = PlainDescription(tiny_model.AUTHOR["labels"], tiny_model.AUTHOR["preprocessing"])
    store = ModelStore(replaceable, tmp_path / "cache", plain=description)
    model = store.newest("tiny", replacing(replaceable, "tiny/net.onnx", onnx, times=1))
    assert model.size == len(onnx)
    assert (store.fetch(model) / "model.onnx").read_bytes() == onnx


def test_a_model_that_has_no_room_on_the_disk_is_not_fetched(
    folder: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(folder, tmp_path / "cache")
    model = store.publish(*tiny_model.write(tmp_path / "tiny", "1.0.0", bytes(3 << 20))).model
    nearly_full = shutil.disk_usage("/")._replace(free=2_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
    with pytest.raises(PermanentError, match=r"full at .*: 2 MB are free, and 3 MB are to be written\. Free"):
        store.fetch(model)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_is_reported_and_keeps_nothing(
    folder: BlobStore, tmp_path: Path
) -> None:
    folder.replace("model.onnx", bytes(1 << 20))
    (blob,) = folder.list_root()
    cache = ModelCache(tmp_path / "cache")

    def fetch_to_a_full_disk() -> None:
        with cache.receiving() as received:
            (received / "model.onnx").symlink_to("/dev/full")
            receive(folder, blob, received / "model.onnx", silent)

    with pytest.raises(PermanentError, match=r"disk of this machine is full at .*: No space left on device"):
        fetch_to_a_full_disk()
    assert list(cache.folder.iterdir()) == []
    assert Path("/dev/full").exists()
