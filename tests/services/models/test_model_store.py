"""Publishing, finding and fetching, against real stores of every kind."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import obstore
import pytest

from flows.core.errors import (
    DigestMismatch,
    ModelNotFound,
    ModelRejected,
    PermanentError,
    StoreUnavailable,
    VersionTaken,
)
from flows.core.model.manifest import ModelManifest
from flows.services.models import azure_blobs
from flows.services.models.blob_store import BlobStore
from flows.services.models.model_store import POINTER, ModelStore, Published
from tests.services import tiny_model
from tests.stand_ins.unreliable_network import UnreliableLine, breaking_line

Candidate = tuple[Path, ModelManifest]


@pytest.fixture
def store(blobs: BlobStore, tmp_path: Path) -> ModelStore:
    return ModelStore(blobs, tmp_path / "cache")


@pytest.fixture
def azure_store(azure: BlobStore, tmp_path: Path) -> ModelStore:
    return ModelStore(azure, tmp_path / "cache")


@pytest.fixture
def first(tmp_path: Path) -> Candidate:
    return tiny_model.write(tmp_path / "first", "1.0.0", b"weights")


@pytest.fixture
def second(tmp_path: Path) -> Candidate:
    return tiny_model.write(tmp_path / "second", "1.1.0", b"better weights")


# publishing


def test_what_was_published_last_is_the_newest(
    store: ModelStore, first: Candidate, second: Candidate
) -> None:
    assert store.publish(*second) == Published(second[1].model, new=True, pointed=True)
    assert store.publish(*first) == Published(first[1].model, new=True, pointed=True)

    assert store.newest("tiny") == first[1].model
    assert store.find("tiny", "1.1.0") == second[1].model
    assert sorted(store.versions("tiny")) == ["1.0.0", "1.1.0"]


def test_publishing_the_same_content_again_changes_nothing_and_says_so(
    store: ModelStore, blobs: BlobStore, first: Candidate, second: Candidate
) -> None:
    store.publish(*first)
    store.publish(*second)
    before = {blob.path: blob.etag for blob in blobs.list_folder("tiny")}
    file, described = first

    again = store.publish(file, replace(described, created="2031-01-01T00:00:00Z"))

    assert again == Published(described.model, new=False, pointed=False)
    assert str(again) == "tiny 1.0.0 was published before with the same content"
    assert {blob.path: blob.etag for blob in blobs.list_folder("tiny")} == before


def test_a_published_version_never_changes(store: ModelStore, first: Candidate, tmp_path: Path) -> None:
    store.publish(*first)
    other_file = tiny_model.write(tmp_path / "a", "1.0.0", b"other weights")
    other_labels = tiny_model.write(tmp_path / "b", "1.0.0", b"weights", labels=["dark", "grey", "dazzling"])

    with pytest.raises(VersionTaken, match=r"tiny 1\.0\.0 is published already, with another model file"):
        store.publish(*other_file)
    with pytest.raises(VersionTaken, match=r"tiny 1\.0\.0 is published already, with another manifest"):
        store.publish(*other_labels)

    assert (store.fetch(first[1].model) / "model.onnx").read_bytes() == b"weights"


def test_publishing_again_uploads_a_model_file_that_was_lost_and_moves_no_pointer(
    store: ModelStore, blobs: BlobStore, first: Candidate, second: Candidate
) -> None:
    model = store.publish(*first).model
    store.publish(*second)
    obstore.delete(blobs.objects, "tiny/1.0.0/model.onnx")
    with pytest.raises(
        ModelNotFound, match=r"has a manifest of tiny 1\.0\.0, but no tiny/1\.0\.0/model\.onnx"
    ):
        store.fetch(model)

    assert store.publish(*first) == Published(model, new=True, pointed=False)
    assert (store.fetch(model) / "model.onnx").read_bytes() == b"weights"
    assert store.newest("tiny") == second[1].model


def test_of_two_who_publish_a_version_at_once_one_wins_and_nothing_is_mixed(
    blobs: BlobStore, tmp_path: Path
) -> None:
    for attempt in range(5):
        version = f"1.{attempt}"
        contents = [bytes([number]) * 2 * blobs.part for number in range(3)]
        candidates = [
            tiny_model.write(tmp_path / f"{version}-{number}", version, content)
            for number, content in enumerate(contents)
        ]
        barrier = threading.Barrier(len(candidates))

        def publish(candidate: Candidate, barrier: threading.Barrier = barrier) -> Published | VersionTaken:
            barrier.wait()
            try:
                return ModelStore(blobs, tmp_path / "unused").publish(*candidate)
            except VersionTaken as taken:
                return taken

        with ThreadPoolExecutor() as pool:
            outcomes = list(pool.map(publish, candidates))

        (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Published)]
        store = ModelStore(blobs, tmp_path / f"cache-{version}")
        assert store.newest("tiny") == store.find("tiny", version) == winner.model
        fetched = store.fetch(winner.model) / "model.onnx"
        assert fetched.read_bytes() == contents[outcomes.index(winner)]


def test_two_who_publish_the_same_content_at_once_both_succeed(blobs: BlobStore, tmp_path: Path) -> None:
    candidates = [
        tiny_model.write(tmp_path / str(number), "1.0", bytes(4 * blobs.part)) for number in range(2)
    ]
    candidates[1] = (candidates[1][0], replace(candidates[1][1], created="2031-01-01T00:00:00Z"))

    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda one: ModelStore(blobs, tmp_path / "x").publish(*one), candidates))

    assert outcomes[0].model == outcomes[1].model == ModelStore(blobs, tmp_path / "x").newest("tiny")


def test_a_publisher_that_broke_off_leaves_nothing_visible_and_is_finished_by_trying_again(
    azurite: str, azure: BlobStore, azure_store: ModelStore, first: Candidate, tmp_path: Path
) -> None:
    azure_store.publish(*first)
    candidate = tiny_model.write(tmp_path / "large", "2.0.0", bytes(8 * azure.part))
    with breaking_line(_port(azurite), up=4 * azure.part) as line:
        broken = _through(line, azurite, azure)
        with pytest.raises(StoreUnavailable):
            ModelStore(broken, tmp_path / "unused").publish(*candidate)
        assert line.spent.is_set()

    assert azure_store.newest("tiny") == first[1].model
    assert azure_store.versions("tiny") == ["1.0.0"]
    with pytest.raises(ModelNotFound, match=r"no version '2.0.0' of 'tiny'. Name one of these: 1.0.0."):
        azure_store.find("tiny", "2.0.0")
    with pytest.raises(VersionTaken, match="or was begun and broken off"):
        azure_store.publish(*tiny_model.write(tmp_path / "other", "2.0.0", b"other"))

    assert azure_store.publish(*candidate).new
    assert azure_store.newest("tiny") == candidate[1].model


def test_a_publisher_that_died_before_the_pointer_is_finished_by_trying_again(
    store: ModelStore, blobs: BlobStore, first: Candidate, second: Candidate
) -> None:
    store.publish(*first)
    pointer = json.loads(blobs.read("tiny/latest.json") or b"") | {"published": "2020-01-01T00:00:00Z"}
    store.publish(*second)
    blobs.replace("tiny/latest.json", json.dumps(pointer).encode())

    assert store.publish(*second) == Published(second[1].model, new=False, pointed=True)
    assert store.newest("tiny") == second[1].model


def test_a_file_that_changes_while_it_is_published_is_not_published(
    store: ModelStore, first: Candidate
) -> None:
    file, described = first
    file.write_bytes(b"newer weights")

    with pytest.raises(DigestMismatch, match="has changed since its digest was computed"):
        store.publish(file, described)

    with pytest.raises(ModelNotFound):
        store.newest("tiny")


def test_uploading_reports_its_progress(store: ModelStore, blobs: BlobStore, tmp_path: Path) -> None:
    reported: list[tuple[int, int]] = []
    candidate = tiny_model.write(tmp_path / "large", "1", bytes(3 * blobs.part))
    store.publish(*candidate, progress=lambda *done: reported.append(done))
    assert reported == [(number * blobs.part, 3 * blobs.part) for number in (1, 2, 3)]


# fetching


def test_a_fetched_model_has_the_promised_content_and_is_fetched_once(
    store: ModelStore, blobs: BlobStore, tmp_path: Path
) -> None:
    content = os.urandom(5 * blobs.part + 8)
    file, described = tiny_model.write(tmp_path / "large", "1.0.0", content)
    model = store.publish(file, described).model
    reported: list[tuple[int, int]] = []

    folder = store.fetch(model, lambda *done: reported.append(done))

    assert (folder / "model.onnx").read_bytes() == content
    assert (folder / "manifest.json").read_bytes() == described.to_bytes()
    assert reported[-1] == (len(content), len(content))
    assert len(reported) == 6
    assert store.fetch(model, lambda *done: reported.append(done)) == folder
    assert len(reported) == 6


def test_a_damaged_cache_entry_is_fetched_again(store: ModelStore, first: Candidate) -> None:
    model = store.publish(*first).model
    (store.fetch(model) / "model.onnx").write_bytes(b"wEights")

    assert (store.fetch(model) / "model.onnx").read_bytes() == b"weights"


def test_a_model_whose_content_was_replaced_in_the_store_is_not_kept(
    store: ModelStore, blobs: BlobStore, first: Candidate, tmp_path: Path
) -> None:
    model = store.publish(*first).model
    blobs.replace("tiny/1.0.0/model.onnx", b"wEights")

    with pytest.raises(DigestMismatch) as refused:
        store.fetch(model)

    arrived = hashlib.sha256(b"wEights").hexdigest()
    assert str(refused.value) == (
        f"tiny 1.0.0 should have the digest {model.digest}, but what arrived has the digest "
        f"sha256:{arrived}; it was not kept. Publish the model as a new version: "
        "its files in the store were changed by hand."
    )
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_model_whose_manifest_was_replaced_in_the_store_is_refused(
    store: ModelStore, blobs: BlobStore, first: Candidate
) -> None:
    model = store.publish(*first).model
    other = replace(first[1], labels=("bright", "grey", "dark"))
    blobs.replace("tiny/1.0.0/manifest.json", other.to_bytes())

    with pytest.raises(DigestMismatch, match="the store's manifest is not the one"):
        store.fetch(model)


def test_a_download_that_is_cut_off_may_be_retried_and_leaves_no_file(
    azurite: str, azure: BlobStore, azure_store: ModelStore, tmp_path: Path
) -> None:
    content = os.urandom(8 * azure.part)
    model = azure_store.publish(*tiny_model.write(tmp_path / "large", "1.0.0", content)).model
    with breaking_line(_port(azurite), down=3 * azure.part) as line:
        broken = _through(line, azurite, azure)
        with pytest.raises(StoreUnavailable, match="can't be reached, or broke off"):
            ModelStore(broken, tmp_path / "cache").fetch(model)
        assert line.spent.is_set()

    assert list((tmp_path / "cache").iterdir()) == []
    assert (azure_store.fetch(model) / "model.onnx").read_bytes() == content


def test_processes_that_fetch_the_same_model_at_once_all_get_it(folder: BlobStore, tmp_path: Path) -> None:
    candidate = tiny_model.write(tmp_path / "large", "1", bytes(20 << 20))
    model = ModelStore(folder, tmp_path / "unused").publish(*candidate).model
    fetch = (
        "import sys; from pathlib import Path; from flows.services.models import blob_providers\n"
        "from flows.services.models.model_store import ModelStore\n"
        "blobs = blob_providers.folder(Path(sys.argv[1])); store = ModelStore(blobs, Path(sys.argv[2]))\n"
        "sys.stdin.readline(); print(store.fetch(store.newest('tiny')))"
    )
    command = [sys.executable, "-c", fetch, str(tmp_path / "store"), str(tmp_path / "cache")]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    with ThreadPoolExecutor() as pool:
        printed = list(pool.map(lambda process: process.communicate("go\n", timeout=60)[0], processes))

    assert [process.returncode for process in processes] == [0, 0]
    (entry,) = (tmp_path / "cache").iterdir()
    assert {text.strip() for text in printed} == {str(entry)}
    assert entry.name.startswith(model.digest.removeprefix("sha256:"))


# what is not there


def test_a_store_without_the_model_says_how_to_get_one(store: ModelStore, blobs: BlobStore) -> None:
    with pytest.raises(ModelNotFound) as missing:
        store.newest("tiny")
    assert (
        str(missing.value) == f"{blobs.place} has no newest model 'tiny'. Publish one: slipway model publish."
    )


@pytest.mark.parametrize("version", ["2.0.0", "../other", "", "latest.json"])
def test_a_missing_version_is_reported_with_those_there_are(
    store: ModelStore, first: Candidate, version: str
) -> None:
    store.publish(*first)
    with pytest.raises(
        ModelNotFound, match=re.escape(f"no version {version!r} of 'tiny'. Name one of these: 1.0.0.")
    ):
        store.find("tiny", version)


def test_a_pointer_that_is_damaged_is_reported(store: ModelStore, blobs: BlobStore, first: Candidate) -> None:
    store.publish(*first)
    blobs.replace("tiny/latest.json", b'{"version": "1.0.0"}')
    with pytest.raises(Exception, match=r"tiny/latest.json in .* is no pointer to a model"):
        store.newest("tiny")


def _port(connection_string: str) -> int:
    endpoint = connection_string.partition("BlobEndpoint=")[2].split(";")[0]
    return urlsplit(endpoint).port or 80


def _through(line: UnreliableLine, connection_string: str, store: BlobStore) -> BlobStore:
    """The same container of Azure, reached through a line."""
    rerouted = connection_string.replace(f":{_port(connection_string)}/", f":{line.port}/")
    container = store.place.split("'")[1]
    return replace(azure_blobs.azure(container, connection_string=rerouted), part=store.part, pauses=())


def test_a_model_that_is_too_large_is_not_fetched(
    folder: BlobStore, tmp_path: Path, first: Candidate
) -> None:
    model = ModelStore(folder, tmp_path / "unused").publish(*first).model
    seen: list[tuple[int, int]] = []
    with pytest.raises(ModelRejected, match=r"tiny 1.0.0 has 7 bytes; at most 6 are taken.*max_size"):
        ModelStore(folder, tmp_path / "cache", largest=6).fetch(model, lambda *done: seen.append(done))
    assert seen == []


@pytest.mark.parametrize("name", ["latest.json", "pin.json"])
def test_a_pointer_that_is_too_large_to_be_one_is_not_read(
    folder: BlobStore, tmp_path: Path, name: str
) -> None:
    folder.replace(f"tiny/{name}", bytes(POINTER + 1))
    with pytest.raises(PermanentError, match=f"{name} in .* has {POINTER + 1} bytes; at most {POINTER} are"):
        ModelStore(folder, tmp_path / "cache").wanted("tiny")


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_published_model_whose_end_is_missing_is_refused(
    folder: BlobStore, tmp_path: Path, first: Candidate, share: float
) -> None:
    store = ModelStore(folder, tmp_path / "cache")
    model = store.publish(*first).model
    folder.replace("tiny/1.0.0/model.onnx", b"weights"[: int(7 * share)])
    with pytest.raises(DigestMismatch, match=r"the store's file has \d bytes instead of 7; it was not kept"):
        store.fetch(model)
