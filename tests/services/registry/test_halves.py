"""Halves and what is composed of them, in a real registry that wants a password."""

import hashlib
import json
import random
import resource
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.core.build.capsule import Capsule
from flows.core.build.composition import MARKER, OCI_MANIFEST, Composition, ModelHalf, compose
from flows.core.build.image import Image, digest_of
from flows.core.errors import DigestMismatch, PermanentError, RegistryUnavailable
from flows.core.model.model import Model
from flows.services.registry import halves
from flows.services.registry.api import Streamed
from flows.services.registry.auth import Credentials, always
from flows.services.registry.client import Registry
from tests.stand_ins.unreliable_network import breaking_line
from tests.support.private_registry import private_registry

pytestmark = [pytest.mark.platform, pytest.mark.apart]

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CAPSULE = Capsule("c" * 64, "d" * 64, "e" * 64)
COMMITTED = "2026-11-24T08:00:00Z"
LABELS = {"org.opencontainers.image.revision": "a" * 40, "org.opencontainers.image.created": COMMITTED}


def nothing_said(_done: int, _total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Credentials]:
    with private_registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def ours(login: Credentials) -> Registry:
    """A repository that is the test's own."""
    return Registry(login.address, f"tests/{uuid.uuid4().hex}", always(login), insecure=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of a megabyte, with its manifest."""
    (tmp_path / "model.onnx").write_bytes(random.randbytes(1 << 20))
    (tmp_path / "manifest.json").write_bytes(b'{"schema": 1}')
    return tmp_path


def model_in(folder: Path) -> Model:
    digest = digest_of((folder / "model.onnx").read_bytes())
    return Model("classifier", "1.0.0", digest, "sha256:" + "2" * 64, 1 << 20)


def pushed(registry: Registry, folder: Path, tag: str = "model-a") -> ModelHalf:
    return halves.push_model_half(registry, tag, folder, "/model", model=model_in(folder), sent=nothing_said)


def code_half(registry: Registry, tag: str = "code-a") -> Image:
    """An image of one layer below the mark and one above it."""
    layers = [registry.api.upload(random.randbytes(100), LAYER) for _ in range(2)]
    config: dict[str, Any] = {
        "os": "linux",
        "architecture": "amd64",
        "created": COMMITTED,
        "config": {"Labels": LABELS},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        "history": [
            {"created_by": "dependencies"},
            {"created_by": f"LABEL {MARKER}=/model", "empty_layer": True},
            {"created_by": "code"},
        ],
    }
    described = registry.api.upload(json.dumps(config).encode(), CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": layers}
    put = registry.api.put(tag, manifest)
    return Image(registry.name, put["digest"])


def composed(registry: Registry, folder: Path) -> Composition:
    half = halves.read_code_half(registry, code_half(registry))
    return compose(half, pushed(registry, folder), CAPSULE, model_in(folder))


def test_a_model_half_is_found_with_its_manifest_and_its_layer_is_what_was_sent(
    ours: Registry, folder: Path
) -> None:
    assert halves.find_model_half(ours, "model-a") is None
    half = pushed(ours, folder)
    assert halves.find_model_half(ours, "model-a") == (half, b'{"schema": 1}')
    layer = ours.api.blob(half.digest)
    assert len(layer) == half.size
    assert (folder / "model.onnx").read_bytes() in layer
    assert ours.manifest("model-a").pushed


def test_the_same_model_is_the_same_layer(ours: Registry, folder: Path) -> None:
    assert pushed(ours, folder) == pushed(ours, folder, "model-b")


def test_a_file_that_is_not_the_model_gets_no_tag(ours: Registry, folder: Path) -> None:
    model = replace(model_in(folder), digest="sha256:" + "0" * 64)
    with pytest.raises(DigestMismatch, match="instead of sha256:0000"):
        halves.push_model_half(ours, "model-a", folder, "/model", model=model, sent=nothing_said)
    assert ours.tags() == []


def test_an_upload_that_is_cut_off_begins_again_and_leaves_no_tag(ours: Registry, folder: Path) -> None:
    port = int(ours.address.rpartition(":")[2])
    with breaking_line(port, up=300_000) as line:
        login = ours.login()
        assert login
        address = f"localhost:{line.port}"
        through = Registry(address, ours.repository, always(replace(login, address=address)), insecure=True)
        with pytest.raises(RegistryUnavailable, match="could not be reached"):
            pushed(through, folder)
        assert line.spent.is_set()
        assert ours.tags() == []
        line.mend()
        half = pushed(through, folder)
    assert halves.find_model_half(ours, "model-a") == (half, b'{"schema": 1}')


def test_an_upload_that_fails_is_cancelled(ours: Registry) -> None:
    places: list[str] = []

    def broken() -> Iterator[bytes]:
        yield b"half of it"
        raise PermanentError("The disk is gone.")

    ask = type(ours.api).ask

    class Watched(type(ours.api)):  # type: ignore[misc]  # the class is what the registry has
        def ask(self, method: str, path: Any, **options: Any) -> Any:
            places.append(f"{method} {path}")
            return ask(self, method, path, **options)

    api = Watched(ours.address, ours.repository, ours.login, insecure=True)
    with pytest.raises(PermanentError, match="The disk is gone"):
        api.stream(Streamed(20, broken))
    assert [place.split()[0] for place in places] == ["POST", "PATCH", "DELETE"]


def test_a_model_is_streamed_in_bounded_memory(ours: Registry, folder: Path) -> None:
    with (folder / "model.onnx").open("wb") as file:
        for _ in range(200):
            file.write(random.randbytes(1 << 20))
    digest = hashlib.file_digest((folder / "model.onnx").open("rb"), "sha256").hexdigest()
    model = Model("classifier", "1.0.0", f"sha256:{digest}", "sha256:" + "2" * 64, 200 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    halves.push_model_half(ours, "model-a", folder, "/model", model=model, sent=nothing_said)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10  # kB


def test_a_half_whose_blob_is_gone_is_not_found(ours: Registry, folder: Path) -> None:
    half, code = pushed(ours, folder), code_half(ours)
    assert halves.find_code_half(ours, "code-a") == code
    layer = ours.manifest("code-a").parts.layers
    assert layer
    for digest in (half.digest, layer[0].digest):
        ours.api.ask("DELETE", f"blobs/{digest}")
    assert halves.find_model_half(ours, "model-a") is None
    assert halves.find_code_half(ours, "code-a") is None


def test_another_artifact_under_a_halfs_tag_is_named(ours: Registry) -> None:
    code_half(ours, "model-a")
    with pytest.raises(PermanentError, match="is no model half"):
        halves.find_model_half(ours, "model-a")


def test_an_image_is_put_without_a_tag_and_then_gets_one(ours: Registry, folder: Path) -> None:
    composition = composed(ours, folder)
    before = sorted(ours.tags())
    image = halves.put_composition(ours, composition)
    assert sorted(ours.tags()) == before == ["code-a", "model-a"]
    assert ours.image(image.digest) == image
    assert ours.labels(image)["org.opencontainers.image.version"] == CAPSULE.hash
    halves.tag_image(ours, image, CAPSULE.hash)
    assert ours.image(CAPSULE.hash) == image


def test_composed_twice_it_is_one_image(ours: Registry, folder: Path) -> None:
    composition = composed(ours, folder)
    assert halves.put_composition(ours, composition) == halves.put_composition(ours, composition)


def test_a_size_that_is_wrong_is_refused_before_the_registry_gets_the_image(
    ours: Registry, folder: Path
) -> None:
    half = halves.read_code_half(ours, code_half(ours))
    wrong = replace(pushed(ours, folder), size=77)
    composition = compose(half, wrong, CAPSULE, model_in(folder))
    with pytest.raises(PermanentError, match=r"has \d+ bytes of the layer .*, but the half names 77"):
        halves.put_composition(ours, composition)
    assert ours.find(composition.digest) is None


def test_a_layer_that_went_meanwhile_is_a_matter_of_pushing_again(ours: Registry, folder: Path) -> None:
    composition = composed(ours, folder)
    ours.api.ask("DELETE", f"blobs/{next(iter(composition.blobs))}")
    with pytest.raises(RegistryUnavailable, match="no longer has the layer"):
        halves.put_composition(ours, composition)


def test_a_blob_that_is_there_is_not_sent_again(ours: Registry) -> None:
    content = random.randbytes(1000)
    described = ours.api.upload_once(content, LAYER)
    sent: list[str] = []
    ask = type(ours.api).ask

    class Watched(type(ours.api)):  # type: ignore[misc]  # as above
        def ask(self, method: str, path: Any, **options: Any) -> Any:
            sent.append(method)
            return ask(self, method, path, **options)

    api = Watched(ours.address, ours.repository, ours.login, insecure=True)
    assert api.upload_once(content, LAYER) == described
    assert sent == ["HEAD"]
