"""Models in a container that keeps versions of its objects: exactly what was published is fetched."""

import json
import os
from pathlib import Path

import obstore
import pytest

from flows.core.errors import DigestMismatch, ModelRejected
from flows.core.model.manifest import ModelManifest
from flows.services.models.blob_store import BlobStore
from flows.services.models.model_store import ModelStore
from tests.services import tiny_model

MODEL, MANIFEST, STORED = (f"tiny/1.0.0/{name}" for name in ("model.onnx", "manifest.json", "stored.json"))


@pytest.fixture
def store(versioned: BlobStore, tmp_path: Path) -> ModelStore:
    return ModelStore(versioned, tmp_path / "cache")


@pytest.fixture
def candidate(tmp_path: Path, versioned: BlobStore) -> tuple[Path, ModelManifest]:
    """A model of several parts."""
    return tiny_model.write(tmp_path / "model", "1.0.0", os.urandom(2 * versioned.part + 7))


def test_publishing_notes_the_versions_beside_the_manifest_and_in_the_pointer(
    store: ModelStore, versioned: BlobStore, candidate: tuple[Path, ModelManifest]
) -> None:
    published = store.publish(*candidate)

    model, manifest = versioned.find(MODEL), versioned.find(MANIFEST)
    assert model
    assert manifest
    ids = {"model": model.version, "manifest": manifest.version}
    assert None not in ids.values()
    assert json.loads(versioned.read(STORED) or b"") == ids
    assert json.loads(versioned.read("tiny/latest.json") or b"")["stored"] == ids
    assert versioned.read(MANIFEST) == candidate[1].to_bytes()
    assert str(published) == (
        f"tiny 1.0.0 published, as version {model.version} in the store; it is the newest now"
    )
    assert store.newest("tiny").stored == store.find("tiny", "1.0.0").stored == model.version


def overwrite(blobs: BlobStore) -> None:
    other = tiny_model.AUTHOR | {"labels": ["dark", "grey", "dazzling"]}
    blobs.replace(MODEL, b"other weights")
    blobs.replace(MANIFEST, json.dumps(other).encode())


def delete(blobs: BlobStore) -> None:
    for path in (MODEL, MANIFEST):
        obstore.delete(blobs.objects, path)


def overwrite_and_lose_the_note(blobs: BlobStore) -> None:
    overwrite(blobs)
    blobs.remove(STORED)


@pytest.mark.parametrize("harm", [overwrite, delete, overwrite_and_lose_the_note])
def test_a_model_is_fetched_as_it_was_published_whatever_was_done_to_its_files(
    store: ModelStore, versioned: BlobStore, candidate: tuple[Path, ModelManifest], harm: object
) -> None:
    file, described = candidate
    store.publish(file, described)
    assert callable(harm)
    harm(versioned)

    found = store.find("tiny", "1.0.0")
    assert found == store.newest("tiny") == described.model
    folder = store.fetch(found)
    assert (folder / "model.onnx").read_bytes() == file.read_bytes()
    assert (folder / "manifest.json").read_bytes() == described.to_bytes()


def test_the_digest_decides_whatever_version_is_noted(
    store: ModelStore, versioned: BlobStore, candidate: tuple[Path, ModelManifest], tmp_path: Path
) -> None:
    model = store.publish(*candidate).model
    versioned.replace(MODEL, bytes(model.size))
    other = versioned.find(MODEL)
    assert other
    noted = json.loads(versioned.read(STORED) or b"") | {"model": other.version}
    versioned.replace(STORED, json.dumps(noted).encode())

    with pytest.raises(DigestMismatch, match="what arrived has the digest"):
        store.fetch(model)
    assert list((tmp_path / "cache").iterdir()) == []


def test_versions_of_another_store_are_passed_over(
    store: ModelStore, versioned: BlobStore, candidate: tuple[Path, ModelManifest]
) -> None:
    file, described = candidate
    model = store.publish(file, described).model
    for elsewhere in ("3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY", "2020-01-01T00:00:00.0000000Z"):
        versioned.replace(STORED, json.dumps({"model": elsewhere, "manifest": elsewhere}).encode())
        assert store.find("tiny", "1.0.0") == model
    assert (store.fetch(model) / "model.onnx").read_bytes() == file.read_bytes()


def test_a_publication_that_ended_before_the_note_gets_it_from_the_next(
    store: ModelStore, versioned: BlobStore, candidate: tuple[Path, ModelManifest]
) -> None:
    store.publish(*candidate)
    noted = versioned.read(STORED)
    versioned.remove(STORED)
    store.publish(*candidate)
    assert versioned.read(STORED) == noted


def test_a_note_that_is_none_says_what_to_do(
    store: ModelStore, versioned: BlobStore, candidate: tuple[Path, ModelManifest]
) -> None:
    store.publish(*candidate)
    versioned.replace(STORED, b'{"model": ["1"]}')
    with pytest.raises(ModelRejected, match=r"stored.json in .* does not hold ids of versions: .* Delete it"):
        store.find("tiny", "1.0.0")


def test_without_versions_nothing_is_noted(folder: BlobStore, tmp_path: Path) -> None:
    candidate = tiny_model.write(tmp_path / "model", "1.0.0", b"weights")
    published = ModelStore(folder, tmp_path / "cache").publish(*candidate)
    assert published.model.stored == ""
    assert folder.read(STORED) is None
    assert "stored" not in json.loads(folder.read("tiny/latest.json") or b"")
