"""Golden sets in real stores of every kind."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import obstore
import pytest

from flows.core.duel.golden_set import INPUTS, GoldenSet
from flows.core.errors import DigestMismatch, GoldenSetRejected, SlipwayError, VersionTaken
from flows.services.models import golden_set_files
from flows.services.models.blob_store import BlobStore
from flows.services.models.golden_set_store import GoldenSetStore, PublishedGoldenSet
from flows.services.models.model_store import ModelStore
from tests.services import golden_sets, tiny_model

Candidate = tuple[Path, GoldenSet]


@pytest.fixture
def store(blobs: BlobStore, tmp_path: Path) -> GoldenSetStore:
    return GoldenSetStore(blobs, tmp_path / "cache")


@pytest.fixture
def local(folder: BlobStore, tmp_path: Path) -> GoldenSetStore:
    """In a folder, for what the kind of the store does not change."""
    return GoldenSetStore(folder, tmp_path / "cache")


@pytest.fixture
def first(tmp_path: Path) -> Candidate:
    return golden_sets.packed(tmp_path / "first", "1")


@pytest.fixture
def second(tmp_path: Path) -> Candidate:
    return golden_sets.packed(tmp_path / "second", "2", n7=b"another seven")


def archive_of(golden: GoldenSet) -> str:
    return f"evaluations/digits/{golden.version}/inputs-{golden.digest.removeprefix('sha256:')}.tar"


def test_what_was_published_last_is_the_newest_and_is_fetched(
    store: GoldenSetStore, first: Candidate, second: Candidate
) -> None:
    assert store.newest("digits") is None
    assert store.publish(*second) == PublishedGoldenSet(second[1], new=True, pointed=True)
    assert store.publish(*first) == PublishedGoldenSet(first[1], new=True, pointed=True)

    assert store.newest("digits") == first[1]
    assert sorted(store.versions("digits")) == ["1", "2"]
    with golden_set_files.opened(store.fetch(second[1])) as inputs:
        assert inputs.read(second[1].examples[7]) == b"another seven"


def test_publishing_the_same_content_again_changes_nothing_and_says_so(
    store: GoldenSetStore, first: Candidate, second: Candidate
) -> None:
    store.publish(*first)
    store.publish(*second)
    before = {blob.path: blob.etag for blob in store.blobs.list_folder("evaluations")}
    archive, golden = first

    again = store.publish(archive, replace(golden, created="2031-01-01T00:00:00Z"))

    assert str(again) == "golden set digits 1 was published before with the same content"
    assert {blob.path: blob.etag for blob in store.blobs.list_folder("evaluations")} == before


def test_a_published_version_never_changes(store: GoldenSetStore, first: Candidate, tmp_path: Path) -> None:
    store.publish(*first)
    other = golden_sets.packed(tmp_path / "other", "1", n7=b"another seven")

    with pytest.raises(VersionTaken, match="golden set digits 1 is published already, with other content"):
        store.publish(*other)

    assert store.newest("digits") == first[1]
    assert store.blobs.find(archive_of(other[1])) is None


def test_of_two_who_publish_a_version_at_once_one_wins_and_its_inputs_are_there(
    store: GoldenSetStore, tmp_path: Path
) -> None:
    candidates = [golden_sets.packed(tmp_path / f"{i}", "1", n7=f"seven {i}".encode()) for i in range(4)]

    def publish(candidate: Candidate) -> bool:
        try:
            store.publish(*candidate)
        except VersionTaken:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(publish, candidates))

    assert won.count(True) == 1
    golden = candidates[won.index(True)][1]
    assert store.newest("digits") == golden
    assert (store.fetch(golden) / INPUTS).read_bytes() == candidates[won.index(True)][0].read_bytes()


def test_publishing_again_uploads_inputs_that_were_lost(local: GoldenSetStore, first: Candidate) -> None:
    local.publish(*first)
    local.blobs.remove(archive_of(first[1]))
    with pytest.raises(DigestMismatch, match="The inputs of golden set digits 1 are not in"):
        local.fetch(first[1])

    assert local.publish(*first) == PublishedGoldenSet(first[1], new=True, pointed=False)
    assert local.fetch(first[1]).is_dir()


def test_a_publication_that_broke_off_before_the_pointer_is_finished_by_the_next(
    local: GoldenSetStore, first: Candidate
) -> None:
    local.publish(*first)
    local.blobs.remove("evaluations/digits/latest.json")
    assert local.publish(*first) == PublishedGoldenSet(first[1], new=False, pointed=True)
    assert local.newest("digits") == first[1]


def test_inputs_that_were_changed_in_the_store_are_not_kept(local: GoldenSetStore, first: Candidate) -> None:
    archive, golden = first
    local.publish(*first)
    content = archive.read_bytes().replace(b"picture 42", b"picture 24")
    obstore.put(local.blobs.objects, archive_of(golden), content)
    for _ in range(2):
        with pytest.raises(DigestMismatch, match="have another digest; they were not kept"):
            local.fetch(golden)


def test_a_manifest_that_was_changed_in_the_store_is_refused(
    local: GoldenSetStore, first: Candidate, second: Candidate
) -> None:
    local.publish(*first)
    path = "evaluations/digits/1/manifest.json"
    changed = replace(first[1], labels=tuple(reversed(first[1].labels)))
    for content, error in [
        (changed.to_bytes(), DigestMismatch),
        (second[1].to_bytes(), GoldenSetRejected),
        (b"{}", GoldenSetRejected),
    ]:
        obstore.put(local.blobs.objects, path, content)
        with pytest.raises(error):
            local.newest("digits")
    local.blobs.remove(path)
    with pytest.raises(DigestMismatch):
        local.newest("digits")


def test_what_was_fetched_is_used_again_while_it_is_undamaged(
    local: GoldenSetStore, first: Candidate
) -> None:
    local.publish(*first)
    folder = local.fetch(first[1])
    local.blobs.remove(archive_of(first[1]))
    assert local.fetch(first[1]) == folder
    (folder / INPUTS).write_bytes(b"damaged")
    with pytest.raises(SlipwayError):
        local.fetch(first[1])


def test_golden_sets_are_no_models_and_models_no_golden_sets(
    local: GoldenSetStore, first: Candidate, tmp_path: Path
) -> None:
    models = ModelStore(local.blobs, local.cache)
    model = tiny_model.write(tmp_path / "model", "1.0.0", b"weights")
    models.publish(*model)
    local.publish(*first)
    assert models.versions("tiny") == ["1.0.0"]
    assert models.versions("digits") == models.versions("evaluations") == []
    assert local.versions("tiny") == []
    assert models.manifest("tiny") == model[1]
    assert models.manifest("digits") is None
