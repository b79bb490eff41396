"""Against the platform's own registry, and one that wants tokens as Azure's does."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from deployments.local.docker import images
from deployments.local.docker.engine import connect
from deployments.local.stores.registry import RegistryAccess
from flows.core.build.capsule import ATTACHED
from flows.core.build.content import BuildContent, ModelVersion
from flows.core.build.image import Reference
from flows.core.build.latest import INDEX, LatestPointer
from flows.core.errors import CredentialsRefused, ImageNotFound, RegistryUnavailable
from flows.services.registry.api import Streamed
from flows.services.registry.auth import Credentials, always
from flows.services.registry.client import Registry, resolve_base
from flows.services.registry.manifest import ATTESTATION, IMAGE_CONFIGS, OCI_MANIFEST
from tests.stand_ins.registry_tokens import ISSUER, SERVICE, TokenService, token_service
from tests.support.private_registry import registry_with

SECRET = "a-password-of-the-test"


@pytest.fixture
def ours(registry: RegistryAccess) -> Registry:
    """A repository that is the test's own."""
    credentials = Credentials(registry.address, registry.username, registry.password)
    return Registry(registry.address, f"tests/{uuid.uuid4().hex}", always(credentials), insecure=True)


@pytest.fixture
def base(ours: Registry) -> Registry:
    """The repository that holds the base image, and so an image at all."""
    return Registry(ours.address, "slipway/base", ours.login, insecure=True)


@pytest.fixture
def base_tag() -> str:
    """Under which the platform pushed the base image."""
    client = connect()
    image = client.images.get(images.ensure(client, "base", print))
    return str(image.id).removeprefix("sha256:")[:12]


@pytest.fixture(scope="session")
def tokens() -> Iterator[TokenService]:
    with token_service("slipway", SECRET) as service:
        yield service


@pytest.fixture(scope="session")
def registry_with_tokens(tokens: TokenService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry that believes the token service alone."""
    certificate = tmp_path_factory.mktemp("tokens") / "certificate.pem"
    certificate.write_bytes(tokens.certificate)
    auth = {
        "token": {
            "realm": tokens.realm,
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": f"/{certificate.name}",
        }
    }
    with registry_with({"REGISTRY_AUTH": json.dumps(auth)}, certificate) as address:
        yield address


def test_an_image_that_is_not_there_is_none_or_an_error_that_names_it(ours: Registry) -> None:
    assert ours.find("nothing") is None
    assert ours.pointer() is None
    with pytest.raises(ImageNotFound, match=f"holds no {ours.name}:nothing"):
        ours.image("nothing")


def test_a_pointer_leads_to_the_image_and_names_its_reason(base: Registry, base_tag: str) -> None:
    image = base.image(base_tag)
    tag = f"pointer-{uuid.uuid4().hex}"
    model = ModelVersion("classifier", "1.0.0", "sha256:1")
    content = BuildContent("c" * 40, model, datetime(2026, 1, 1, tzinfo=UTC), "d" * 64)
    pointer = LatestPointer(
        digest=image.digest,
        content=content,
        subject="Ein schöner Tag — 「good」",
        branch="main",
        run="run",
    )
    base.move(pointer, tag)
    assert base.pointer(tag) == pointer
    assert base.image(tag) == image
    base.move(replace(pointer, content=replace(content, commit="e" * 40)), tag)
    moved = base.pointer(tag)
    assert moved is not None
    assert moved.content.commit == "e" * 40


def test_a_pointer_to_nothing_is_refused(ours: Registry) -> None:
    nowhere = LatestPointer(
        digest="sha256:" + "0" * 64,
        content=BuildContent("", ModelVersion("", "", ""), datetime(2026, 1, 1, tzinfo=UTC), ""),
        subject="",
        branch="",
        run="",
    )
    with pytest.raises(ImageNotFound):
        ours.move(nowhere)
    assert ours.pointer() is None


def test_what_is_attached_to_a_tag_comes_back_as_it_was(ours: Registry) -> None:
    ours.attach("capsule", b'{"schema": 1}\n')
    ours.attach("capsule", b'{"schema": 1}\n')
    assert ours.attached("capsule") == b'{"schema": 1}\n'
    with pytest.raises(ImageNotFound):
        ours.attached("another")


def test_a_deleted_manifest_takes_its_tags_along_and_no_other(ours: Registry) -> None:
    assert ours.tags() == []
    for tag in ("one", "two"):  # the same content
        ours.attach(tag, b"{}")
    assert sorted(ours.tags()) == [f"one{ATTACHED}", f"two{ATTACHED}"]
    digest = ours.manifest(f"one{ATTACHED}").digest
    ours.delete(digest)
    ours.delete(digest)
    assert ours.tags() == [f"two{ATTACHED}"]
    assert ours.attached("two") == b"{}"


def test_an_image_says_when_it_was_built_and_what_it_needs(
    ours: Registry, base: Registry, base_tag: str
) -> None:
    manifest = base.manifest(base_tag)
    configuration = base.configuration(manifest)
    assert configuration
    assert configuration.created
    assert configuration.created < datetime.now(UTC)
    assert len(manifest.blobs) == 2
    assert sum(manifest.blobs.values()) > 10_000_000
    ours.attach("model", b"{}")
    assert ours.configuration(ours.manifest(f"model{ATTACHED}")) is None


def test_wrong_credentials_say_where_to_set_them_and_keep_the_secret(ours: Registry) -> None:
    wrong = replace(ours, login=always(Credentials(ours.address, "slipway", SECRET)))
    with pytest.raises(CredentialsRefused, match="DockerRegistryCredentials block") as refused:
        wrong.find("latest")
    assert SECRET not in f"{refused.value}{refused.value.details}{wrong!r}"


def test_a_registry_that_is_away_is_worth_another_try(ours: Registry) -> None:
    with pytest.raises(RegistryUnavailable, match="could not be reached"):
        replace(ours, address="localhost:9").find("latest")


def test_a_base_image_is_named_by_digest(base: Registry, base_tag: str) -> None:
    named = resolve_base(Reference(base.address, base.repository, base_tag), base)
    assert named == Reference(base.address, base.repository, base.manifest(base_tag).digest)


def test_a_token_is_fetched_from_the_realm_that_the_registry_names(
    registry_with_tokens: str, tokens: TokenService
) -> None:
    credentials = Credentials(registry_with_tokens, "slipway", SECRET)
    registry = Registry(registry_with_tokens, "team/app", always(credentials), insecure=True)
    registry.attach("capsule", b"{}")
    assert registry.attached("capsule") == b"{}"
    assert "repository:team/app:pull" in tokens.scopes
    assert any("push" in scope for scope in tokens.scopes)


def test_a_layer_is_sent_once_where_the_registry_wants_a_token(registry_with_tokens: str) -> None:
    credentials = Credentials(registry_with_tokens, "slipway", SECRET)
    registry = Registry(registry_with_tokens, "team/app", always(credentials), insecure=True)
    passes = 0

    def chunks() -> Iterator[bytes]:
        nonlocal passes
        passes += 1
        yield from (b"a", b"layer")

    digest = registry.api.stream(Streamed(6, chunks))
    assert registry.api.blob(digest) == b"alayer"
    assert passes == 1


def test_who_gets_no_token_is_refused(registry_with_tokens: str) -> None:
    credentials = Credentials(registry_with_tokens, "slipway", "wrong")
    with pytest.raises(CredentialsRefused):
        Registry(registry_with_tokens, "team/app", always(credentials), insecure=True).find("latest")


def pushed(registry: Registry, tag: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """The descriptor of a manifest or an index that is pushed under the tag."""
    return registry.api.put(tag, {"schemaVersion": 2, **manifest})


def test_an_index_as_docker_29_pushes_it_leads_to_its_one_image(ours: Registry) -> None:
    """With provenance beside each image (BuildKit, "Image Attestation Storage")."""
    config = {"os": "linux", "architecture": "amd64", "config": {"Labels": {"a": "b"}}}
    described = ours.api.upload(json.dumps(config).encode(), IMAGE_CONFIGS[0])
    layer = ours.api.upload(b"a layer", "application/vnd.oci.image.layer.v1.tar")
    image = {"mediaType": OCI_MANIFEST, "config": described, "layers": [layer]}
    runnable = pushed(ours, "the-image", image) | {"platform": {"os": "linux", "architecture": "amd64"}}
    statement = ours.api.upload(b"{}", "application/vnd.in-toto+json")
    nothing = ours.api.upload(b'{"os": "unknown"}', IMAGE_CONFIGS[0])
    provenance = {"mediaType": OCI_MANIFEST, "config": nothing, "layers": [statement]}
    attestation = pushed(ours, "the-attestation", provenance) | {
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            ATTESTATION: "attestation-manifest",
            "vnd.docker.reference.digest": runnable["digest"],
        },
    }
    index = pushed(ours, "pushed", {"mediaType": INDEX, "manifests": [runnable, attestation]})
    for reference in ("pushed", str(index["digest"])):
        found = ours.image(reference)
        assert found.digest == runnable["digest"]
        assert ours.labels(found) == {"a": "b"}
