"""A version that is wanted instead of the newest, until a user lifts that; and what a look shows of it."""

from pathlib import Path

import pytest

from flows.core.errors import ModelNotFound, ModelRejected
from flows.core.model.manifest import ModelManifest
from flows.services.models.blob_store import BlobStore
from flows.services.models.model_store import ModelStore
from flows.services.models.plain_models import PlainDescription, version_of
from tests.services import tiny_model

DESCRIPTION = PlainDescription(tiny_model.AUTHOR["labels"], tiny_model.AUTHOR["preprocessing"])


@pytest.fixture
def store(blobs: BlobStore, tmp_path: Path) -> ModelStore:
    return ModelStore(blobs, tmp_path / "cache", plain=DESCRIPTION)


@pytest.fixture
def published(store: ModelStore, tmp_path: Path) -> list[ModelManifest]:
    """1.0.0, then 1.1.0."""
    found = []
    for version in ("1.0.0", "1.1.0"):
        file, described = tiny_model.write(tmp_path / version, version, version.encode())
        store.publish(file, described)
        found.append(described)
    return found


def test_without_a_pin_the_newest_is_wanted(store: ModelStore, published: list[ModelManifest]) -> None:
    assert store.pinned("tiny") is None
    assert store.wanted("tiny") == published[1].model
    assert (store.peek("tiny").version, store.peek("tiny").identity) == ("1.1.0", published[1].digest)


def test_a_pin_holds_until_it_is_lifted_whatever_is_published(
    store: ModelStore, published: list[ModelManifest], tmp_path: Path
) -> None:
    store.pin("tiny", "1.0.0", "run 7")
    store.publish(*tiny_model.write(tmp_path / "1.2.0", "1.2.0", b"newer still"))

    pin = store.pinned("tiny")
    assert pin is not None
    assert (pin.version, pin.run) == ("1.0.0", "run 7")
    assert store.wanted("tiny") == published[0].model
    assert store.peek("tiny").identity == published[0].digest
    assert store.newest("tiny").version == "1.2.0"

    store.unpin("tiny")
    assert store.wanted("tiny").version == "1.2.0"


def test_lifting_a_pin_that_is_not_there_is_fine(store: ModelStore, published: list[ModelManifest]) -> None:
    store.unpin("tiny")
    assert store.wanted("tiny") == published[1].model


def test_a_pinned_version_that_is_gone_is_reported_and_not_replaced_by_another(
    store: ModelStore, published: list[ModelManifest]
) -> None:
    store.pin("tiny", "0.9.0", "run 7")
    for look in (store.wanted, store.peek):
        with pytest.raises(ModelNotFound, match=r"Name one of these: 1\.1\.0, 1\.0\.0"):
            look("tiny")


def test_a_pin_that_is_none_says_what_to_do(store: ModelStore, blobs: BlobStore) -> None:
    blobs.replace("tiny/pin.json", b"1.0.0")
    with pytest.raises(ModelRejected, match=r"pin.json in .* is no pin.*Delete it, or pin a version"):
        store.wanted("tiny")


def test_a_plain_file_is_sighted_without_a_download_and_is_another_once_it_grew(
    store: ModelStore, blobs: BlobStore, tmp_path: Path
) -> None:
    blobs.replace("tiny/net.onnx", b"half")
    first = store.peek("tiny")
    assert first == store.peek("tiny")
    assert not first.settled
    blobs.replace("tiny/net.onnx", b"half and half")
    assert store.peek("tiny") != first
    assert not (tmp_path / "cache").exists()


def test_a_plain_file_can_be_pinned(store: ModelStore, blobs: BlobStore, tmp_path: Path) -> None:
    onnx = tiny_model.write_onnx(tmp_path / "tiny.onnx").read_bytes()
    blobs.replace("tiny/net.onnx", onnx)
    file = blobs.find("tiny/net.onnx")
    assert file is not None
    store.pin("tiny", version_of(file), "run 7")
    assert store.wanted("tiny").version == store.peek("tiny").version == version_of(file)
