"""Model files that were not published: found, described, and fetched once."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper, save

from flows.core.errors import DigestMismatch, ModelNotFound, ModelRejected
from flows.core.model import manifest
from flows.services.models.blob_store import BlobStore
from flows.services.models.model_store import ModelStore
from flows.services.models.plain_models import PlainDescription
from tests.services import tiny_model

DESCRIPTION = PlainDescription(tiny_model.AUTHOR["labels"], tiny_model.AUTHOR["preprocessing"])


@pytest.fixture
def onnx(tmp_path: Path) -> bytes:
    return tiny_model.write_onnx(tmp_path / "tiny.onnx").read_bytes()


@pytest.fixture
def store(blobs: BlobStore, tmp_path: Path) -> ModelStore:
    return ModelStore(blobs, tmp_path / "cache", plain=DESCRIPTION)


@pytest.mark.parametrize("path", ["tiny/model.onnx", "tiny/2026-11/net.onnx", "net.onnx"])
def test_a_plain_file_is_served_as_the_settings_describe_it(
    store: ModelStore, blobs: BlobStore, onnx: bytes, path: str
) -> None:
    blobs.replace(path, onnx)

    model = store.newest("tiny")

    folder = store.fetch(model)
    described = manifest.parse((folder / "manifest.json").read_bytes(), source="it")
    assert (folder / "model.onnx").read_bytes() == onnx
    assert described.model == model
    assert (described.input, described.output) == ("pixels", "scores")
    assert list(described.labels) == tiny_model.AUTHOR["labels"]
    age = datetime.now(UTC) - datetime.strptime(model.version, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs(age.total_seconds()) < 60


def test_a_plain_file_is_fetched_once(store: ModelStore, blobs: BlobStore, onnx: bytes) -> None:
    blobs.replace("tiny/model.onnx", onnx)
    reported: list[tuple[int, int]] = []

    model = store.newest("tiny", lambda *done: reported.append(done))
    assert reported == [(len(onnx), len(onnx))]

    assert store.newest("tiny", lambda *done: reported.append(done)) == model
    assert store.find("tiny", model.version, lambda *done: reported.append(done)) == model
    store.fetch(model, lambda *done: reported.append(done))
    assert len(reported) == 1


def test_a_plain_file_that_is_overwritten_is_another_model(
    store: ModelStore, blobs: BlobStore, onnx: bytes, tmp_path: Path
) -> None:
    blobs.replace("tiny/model.onnx", onnx)
    before = store.newest("tiny")
    blobs.replace("tiny/model.onnx", tiny_model.write_onnx(tmp_path / "b.onnx", scores="odds").read_bytes())

    after = store.newest("tiny")

    assert after.digest != before.digest
    assert (store.fetch(after) / "model.onnx").read_bytes() != onnx


def test_the_newest_of_several_plain_files_is_the_last_modified(
    folder: BlobStore, tmp_path: Path, onnx: bytes
) -> None:
    for name, hour in (("a", 3), ("b", 9), ("c", 6)):
        folder.replace(f"tiny/{name}.onnx", onnx)
        moment = datetime(2026, 11, 22, hour, tzinfo=UTC).timestamp()
        os.utime(tmp_path / "store" / "tiny" / f"{name}.onnx", (moment, moment))
    store = ModelStore(folder, tmp_path / "cache", plain=DESCRIPTION)

    assert store.newest("tiny").version == "20261122T090000Z"
    assert store.versions("tiny") == ["20261122T090000Z", "20261122T060000Z", "20261122T030000Z"]
    assert store.find("tiny", "20261122T030000Z").version == "20261122T030000Z"
    with pytest.raises(ModelNotFound, match="Name one of these: 20261122T090000Z, 20261122T060000Z"):
        store.find("tiny", "20261122T040000Z")


@pytest.mark.parametrize("beside", ["tiny/net.json", "tiny/manifest.json"])
def test_a_manifest_beside_a_plain_file_wins_over_the_settings(
    store: ModelStore, blobs: BlobStore, onnx: bytes, beside: str
) -> None:
    blobs.replace("tiny/net.onnx", onnx)
    blobs.replace(beside, json.dumps(tiny_model.author(labels=["dark", "grey", "dazzling"])).encode())

    folder = store.fetch(store.newest("tiny"))

    described = manifest.parse((folder / "manifest.json").read_bytes(), source="it")
    assert described.labels == ("dark", "grey", "dazzling")


def test_without_manifest_and_settings_a_plain_file_is_refused_with_what_to_set(
    blobs: BlobStore, tmp_path: Path, onnx: bytes
) -> None:
    blobs.replace("tiny/net.onnx", onnx)
    with pytest.raises(ModelRejected) as refused:
        ModelStore(blobs, tmp_path / "cache").newest("tiny")
    assert str(refused.value) == (
        f"tiny/net.onnx in {blobs.place} has no manifest beside it, so its labels are unknown. "
        "Set labels and preprocessing under [model.plain] in slipway.toml, or publish the model."
    )
    assert not (tmp_path / "cache").exists()


def test_a_manifest_beside_that_promises_another_file_is_refused(
    store: ModelStore, blobs: BlobStore, onnx: bytes, tmp_path: Path
) -> None:
    promised = "sha256:" + "0" * 64
    blobs.replace("tiny/net.onnx", onnx)
    blobs.replace("tiny/manifest.json", json.dumps(tiny_model.author(digest=promised)).encode())
    with pytest.raises(DigestMismatch, match=f"the manifest beside it promises {promised}"):
        store.newest("tiny")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_plain_file_with_several_outputs_is_refused_with_what_to_do(
    store: ModelStore, blobs: BlobStore, tmp_path: Path
) -> None:
    tensors: dict[str, Any] = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("x", "a", "b")
    }
    nodes = [helper.make_node("Relu", ["x"], [name]) for name in ("a", "b")]
    graph = helper.make_graph(nodes, "two", [tensors["x"]], [tensors["a"], tensors["b"]])
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "two.onnx",
    )
    blobs.replace("tiny/two.onnx", (tmp_path / "two.onnx").read_bytes())

    with pytest.raises(ModelRejected, match=re.escape("inputs 'x' and outputs 'a', 'b'; only one of")):
        store.newest("tiny")


def test_a_version_whose_publisher_broke_off_before_the_pointer_is_no_plain_file(
    store: ModelStore, blobs: BlobStore, tmp_path: Path
) -> None:
    candidate = tiny_model.write(tmp_path / "first", "1.0.0", b"weights")
    store.publish(*candidate)
    blobs.remove("tiny/latest.json")
    with pytest.raises(ModelNotFound, match=r"has no newest model 'tiny'. Name one of these: 1.0.0."):
        store.newest("tiny")


@pytest.mark.parametrize("beside", [True, False], ids=["a manifest beside it", "[model.plain]"])
def test_a_plain_file_whose_end_is_missing_is_refused_by_its_name(
    folder: BlobStore, tmp_path: Path, onnx: bytes, beside: bool
) -> None:
    folder.replace("tiny/net.onnx", onnx[:-20])
    if beside:
        folder.replace("tiny/net.json", json.dumps(tiny_model.author()).encode())
    store = ModelStore(folder, tmp_path / "cache", plain=DESCRIPTION)
    with pytest.raises(ModelRejected, match=r"^tiny/net.onnx in folder .* is no ONNX model, or is cut off"):
        store.newest("tiny")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_plain_file_that_predicts_nan_is_refused(folder: BlobStore, tmp_path: Path) -> None:
    bad = tiny_model.write_onnx(tmp_path / "bad.onnx", nan=True)
    folder.replace("tiny/net.onnx", bad.read_bytes())
    folder.replace("tiny/net.json", json.dumps(tiny_model.author()).encode())
    with pytest.raises(ModelRejected, match="Predicting on zeros, output 'scores' is not finite"):
        ModelStore(folder, tmp_path / "cache").newest("tiny")


def test_a_plain_file_that_is_too_large_is_not_fetched(
    folder: BlobStore, tmp_path: Path, onnx: bytes
) -> None:
    folder.replace("tiny/net.onnx", onnx)
    seen: list[tuple[int, int]] = []
    store = ModelStore(folder, tmp_path / "cache", plain=DESCRIPTION, largest=len(onnx) - 1)
    with pytest.raises(ModelRejected, match=rf"tiny/net.onnx in .* has {len(onnx)} bytes; at most"):
        store.newest("tiny", lambda *done: seen.append(done))
    assert seen == []
