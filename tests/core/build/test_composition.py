"""Config and manifest of a code half in, those of the image out."""

import json
from copy import deepcopy
from typing import Any

import pytest

from flows.core.build.capsule import Capsule
from flows.core.build.composition import (
    DOCKER_MANIFEST,
    MARKER,
    OCI_MANIFEST,
    CodeHalf,
    Composition,
    ModelHalf,
    compose,
    place_of,
    require_untouched,
)
from flows.core.build.image import digest_of
from flows.core.errors import BuildFailed
from flows.core.model.model import Model

CAPSULE = Capsule("c" * 64, "d" * 64, "e" * 64)
MODEL = Model("classifier", "1.1.0", "sha256:" + "1" * 64, "sha256:" + "2" * 64, 18_000_000)
HALF = ModelHalf("/model", "sha256:" + "5" * 64, 18_644_038)
COMMITTED = "2026-11-24T08:00:00Z"
LABELS = {
    "org.opencontainers.image.revision": "a" * 40,
    "org.opencontainers.image.created": COMMITTED,
    "dev.slipway.trust": "released",
    "dev.slipway.pushed": "2026-11-24T09:00:00+00:00",
}


def layer(number: int) -> dict[str, Any]:
    return {"mediaType": "gzip", "digest": f"sha256:{number}", "size": number}


def entry(created_by: str, *, empty: bool = False, created: str = "2026-11-24T09:00:01Z") -> dict[str, Any]:
    return {"created_by": created_by, "created": created, **({"empty_layer": True} if empty else {})}


def half(media_type: str = DOCKER_MANIFEST, mark: str = f"LABEL {MARKER}=/model", **changed: Any) -> CodeHalf:
    """Base and dependencies below the mark, code above it."""
    history = [
        entry("base"),
        entry("ENV LANG=C.UTF-8", empty=True),
        entry("COPY /out / # dependencies"),
        entry(mark, empty=True),
        entry("COPY /out / # code"),
        entry('CMD ["python3"]', empty=True),
    ]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-11-24T09:00:01Z",
        "container": "builder",
        "config": {"Env": ["LANG=C.UTF-8", "SLIPWAY_COMMIT="], "Labels": {**LABELS, "team": "vision"}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:a", "sha256:b", "sha256:c"]},
        "history": history,
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": "config", "digest": "sha256:0", "size": 1},
        "layers": [layer(1), layer(2), layer(3)],
    }
    return CodeHalf(media_type, manifest, {**config, **changed})


def made(composition: Composition) -> tuple[dict[str, Any], dict[str, Any]]:
    return json.loads(composition.manifest), json.loads(composition.config)


@pytest.mark.parametrize(
    ("family", "config_type", "layer_type"),
    [
        (
            DOCKER_MANIFEST,
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar",
        ),
        (
            OCI_MANIFEST,
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar",
        ),
    ],
)
def test_the_models_layer_is_where_the_mark_is_below_the_code(
    family: str, config_type: str, layer_type: str
) -> None:
    composition = compose(half(family), HALF, CAPSULE, MODEL)
    manifest, config = made(composition)
    ours = {"mediaType": layer_type, "digest": HALF.digest, "size": HALF.size}
    assert manifest["layers"] == [layer(1), layer(2), ours, layer(3)]
    assert config["rootfs"]["diff_ids"] == ["sha256:a", "sha256:b", HALF.digest, "sha256:c"]
    filled = [one["created_by"] for one in config["history"] if not one.get("empty_layer")]
    assert filled == [
        "base",
        "COPY /out / # dependencies",
        "slipway: classifier 1.1.0 in /model",
        "COPY /out / # code",
    ]
    assert manifest["config"] == {
        "mediaType": config_type,
        "digest": digest_of(composition.config),
        "size": len(composition.config),
    }
    assert composition.digest == digest_of(composition.manifest)
    assert composition.blobs == {"sha256:1": 1, "sha256:2": 2, "sha256:3": 3, HALF.digest: HALF.size}


def test_the_image_says_what_it_is() -> None:
    _, config = made(compose(half(), HALF, CAPSULE, MODEL))
    assert config["config"]["Env"] == [
        "LANG=C.UTF-8",
        f"SLIPWAY_COMMIT={'a' * 40}",
        f"SLIPWAY_CAPSULE={CAPSULE.hash}",
        f"SLIPWAY_BUILT={COMMITTED}",
    ]
    assert config["config"]["Labels"] == {
        "org.opencontainers.image.revision": "a" * 40,
        "org.opencontainers.image.created": COMMITTED,
        "org.opencontainers.image.version": CAPSULE.hash,
        "dev.slipway.trust": "released",
        "dev.slipway.model": "classifier",
        "dev.slipway.model.version": "1.1.0",
        "dev.slipway.model.digest": MODEL.digest,
        "dev.slipway.code": CAPSULE.code,
        "dev.slipway.model-half": CAPSULE.model,
        "team": "vision",
    }


def test_who_built_the_half_and_when_is_not_in_the_image() -> None:
    other = deepcopy(half())
    config: Any = other.config
    config |= {"created": "2027-01-01T00:00:00Z", "container": "another", "docker_version": "29"}
    config["config"]["Labels"]["dev.slipway.pushed"] = "2027-01-01T00:00:00+00:00"
    for one in config["history"]:
        one["created"] = "2027-01-01T00:00:00Z"
    assert compose(other, HALF, CAPSULE, MODEL) == compose(half(), HALF, CAPSULE, MODEL)


def test_what_it_is_composed_of_stays_as_it_was() -> None:
    before, code = half(), half()
    compose(code, HALF, CAPSULE, MODEL)
    assert code == before


@pytest.mark.parametrize(
    "mark",
    [
        f"LABEL {MARKER}=/model",
        f'LABEL {MARKER}="/model"',
        f"LABEL a=b {MARKER}=/model c=d",
        f"/bin/sh -c #(nop) LABEL {MARKER}=/model",
    ],
)
def test_a_mark_is_found_however_the_builder_writes_it(mark: str) -> None:
    place = place_of(half(mark=mark), "/model")
    assert (place.layers, place.entries) == (2, 3)


@pytest.mark.parametrize(
    ("why", "code", "message"),
    [
        ("no mark", half(mark="LABEL other=/model"), "does not mark where the model belongs"),
        ("another path", half(mark=f"LABEL {MARKER}=/models"), "marks /models as the model's place"),
        ("a longer one", half(mark=f"LABEL {MARKER}=/model/x"), "marks /model/x as the model's place"),
        ("a command that mentions it", half(mark=f"RUN echo {MARKER}=/model"), "does not mark"),
        ("no history", half(history=[]), "has 3 layers, but its history names 0"),
        (
            "a layer too many",
            half(rootfs={"diff_ids": ["sha256:a"]}),
            "has 3 layers, but its configuration names 1",
        ),
        (
            "a volume there",
            half(config={"Labels": LABELS, "Volumes": {"/model": {}}}),
            "declares VOLUME /model",
        ),
        (
            "a volume above",
            half(config={"Labels": LABELS, "Volumes": {"/": {}}}),
            "declares VOLUME /,",
        ),
        (
            "a volume below",
            half(config={"Labels": LABELS, "Volumes": {"/model/cache": {}}}),
            "declares VOLUME /model/cache",
        ),
        ("pushed by another", half(config={"Labels": {}}), "has no label org.opencontainers.image.created"),
        ("another family", half("application/x"), "unknown type application/x"),
    ],
)
def test_a_half_that_can_take_no_model_is_refused(why: str, code: CodeHalf, message: str) -> None:
    with pytest.raises(BuildFailed, match=message):
        compose(code, HALF, CAPSULE, MODEL)


def test_a_volume_beside_the_model_does_no_harm() -> None:
    compose(half(config={"Labels": LABELS, "Volumes": {"/models": {}, "/data": {}}}), HALF, CAPSULE, MODEL)


def test_a_file_at_the_models_place_is_named() -> None:
    require_untouched("/model", [])
    with pytest.raises(BuildFailed, match=r"writes /model/labels\.txt") as refused:
        require_untouched("/model", ["/model/labels.txt"])
    assert "Remove the line that writes below /model" in refused.value.remedy
