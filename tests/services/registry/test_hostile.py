"""A registry that lies, or an index of another builder: an error of ours, or the right image; no password."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from flows.core.build.content import BuildContent, ModelVersion
from flows.core.build.latest import LatestPointer
from flows.core.errors import CredentialsRefused, DigestMismatch, ImageNotFound, PermanentError, SlipwayError
from flows.services.registry.auth import Credentials, is_trusted
from flows.services.registry.client import SMALL, Registry
from flows.services.registry.manifest import digest_of
from tests.stand_ins.hostile_registry import INDEX, Answer, HostileRegistry, content, hostile_registry

OTHER = "sha256:" + "0" * 64


@pytest.fixture
def hostile() -> Iterator[HostileRegistry]:
    with hostile_registry() as found:
        yield found


@pytest.fixture
def reader(hostile: HostileRegistry) -> Registry:
    login = Credentials(hostile.address, "ci", "s3cret")
    return Registry(hostile.address, "team/app", login, insecure=True)


def test_a_manifest_without_a_digest_in_its_header_has_that_of_its_content(
    hostile: HostileRegistry, reader: Registry
) -> None:
    hostile.answers["manifests/a"] = content({"schemaVersion": 2})
    assert reader.image("a").digest == digest_of(b'{"schemaVersion": 2}')


def test_a_manifest_that_is_not_what_its_header_says_is_refused(
    hostile: HostileRegistry, reader: Registry
) -> None:
    hostile.answers["manifests/a"] = content({}, Docker_Content_Digest=OTHER)
    with pytest.raises(DigestMismatch, match="with other content"):
        reader.image("a")


def test_a_manifest_that_is_not_the_one_that_was_asked_for_is_refused(
    hostile: HostileRegistry, reader: Registry
) -> None:
    hostile.answers[f"manifests/{OTHER}"] = content({}, Docker_Content_Digest=OTHER)
    with pytest.raises(DigestMismatch):
        reader.image(OTHER)


def test_a_blob_that_is_not_the_one_that_was_asked_for_is_refused(
    hostile: HostileRegistry, reader: Registry
) -> None:
    hostile.answers["manifests/a.model"] = content({"layers": [{"digest": OTHER}]})
    hostile.answers[f"blobs/{OTHER}"] = Answer(b"harm")
    with pytest.raises(DigestMismatch):
        reader.attached("a")


@pytest.mark.parametrize("extra", [1, SMALL])
def test_more_than_a_manifest_may_have_is_not_read(
    hostile: HostileRegistry, reader: Registry, extra: int
) -> None:
    hostile.answers["manifests/a"] = Answer(bytes(SMALL + extra))
    with pytest.raises(PermanentError, match=f"with more than {SMALL} bytes"):
        reader.image("a")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"text"', b"{", b"\xff"])
def test_what_is_no_manifest_is_an_error_of_ours(
    hostile: HostileRegistry, reader: Registry, body: bytes
) -> None:
    hostile.answers["manifests/latest"] = Answer(body, headers={"Content-Type": INDEX})
    for ask in (reader.pointer, lambda: reader.image("latest")):
        with pytest.raises(PermanentError, match="is no JSON object"):
            ask()


def entry(architecture: str, digest: str) -> dict[str, Any]:
    """One image of an index."""
    return {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}


RUNNABLE = entry("amd64", "sha256:" + "1" * 64)
ATTESTATION = {
    "digest": "sha256:" + "2" * 64,
    "platform": {"os": "unknown", "architecture": "unknown"},
    "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
}
DISGUISED = RUNNABLE | {"digest": OTHER, "annotations": {"vnd.docker.reference.type": "other"}}


@pytest.mark.parametrize(
    "entries",
    [[RUNNABLE], [RUNNABLE, ATTESTATION], [entry("arm64", OTHER), RUNNABLE], [RUNNABLE, DISGUISED]],
    ids=["alone", "with an attestation", "of two platforms", "an attestation that looks like an image"],
)
def test_an_index_of_another_builder_leads_to_its_image(
    hostile: HostileRegistry, reader: Registry, entries: list[dict[str, Any]]
) -> None:
    """As BuildKit and Docker from 29 on push it."""
    hostile.answers["manifests/a"] = content({"schemaVersion": 2, "manifests": entries}, INDEX)
    assert reader.image("a").digest == RUNNABLE["digest"]
    assert reader.pointer("a") is None


@pytest.mark.parametrize(
    "index",
    [
        {"manifests": []},
        {"manifests": None},
        {},
        {"manifests": [entry("arm64", OTHER)]},
        {"manifests": [RUNNABLE, RUNNABLE | {"digest": OTHER}]},
        {"manifests": [ATTESTATION], "annotations": None},
    ],
    ids=["empty", "null", "nothing", "another platform", "two", "an attestation alone"],
)
def test_an_index_without_one_image_for_us_is_no_image(
    hostile: HostileRegistry, reader: Registry, index: dict[str, Any]
) -> None:
    hostile.answers["manifests/a"] = content(index, INDEX)
    with pytest.raises(ImageNotFound, match="lists no image, or several, for linux/amd64"):
        reader.image("a")


POINTER = LatestPointer(
    digest="sha256:" + "a" * 64,
    content=BuildContent(
        "a" * 40,
        ModelVersion("classifier", "1.0.0", "sha256:" + "1" * 64),
        datetime(2026, 1, 1, tzinfo=UTC),
        "c" * 64,
    ),
    subject="a change",
    branch="main",
    run="run-1",
)
WRITTEN = POINTER.to_index("application/vnd.oci.image.manifest.v1+json", 7)
CAPSULE = "dev.slipway.capsule"


def noted(name: str, value: object) -> dict[str, Any]:
    return WRITTEN | {"annotations": WRITTEN["annotations"] | {name: value}}


MALFORMED = {
    "no entry": WRITTEN | {"manifests": []},
    "entries that are null": WRITTEN | {"manifests": None},
    "two entries": WRITTEN | {"manifests": [{"digest": OTHER}] * 2},
    "an entry without a digest": WRITTEN | {"manifests": [{}]},
    "a digest that is a path": WRITTEN | {"manifests": [{"digest": "../../x"}]},
    "a commit that is an option": noted("org.opencontainers.image.revision", "--all"),
    "a capsule that is none": noted(CAPSULE, "x"),
    "a time that is none": noted("dev.slipway.committed", "yesterday"),
    "a time without a zone": noted("dev.slipway.committed", "2026-01-01T00:00:00"),
    "a number": noted("dev.slipway.model", 1),
    "annotations without the rest": WRITTEN | {"annotations": {CAPSULE: "c" * 64}},
}


@pytest.mark.parametrize("index", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_pointer_that_somebody_else_wrote_is_an_error_that_names_the_key(
    hostile: HostileRegistry, reader: Registry, index: dict[str, Any]
) -> None:
    hostile.answers["manifests/latest"] = content(index, INDEX)
    with pytest.raises(PermanentError, match="pointer to an image is malformed: key"):
        reader.pointer()


def test_a_pointer_that_is_right_is_read_also_one_of_a_later_version(
    hostile: HostileRegistry, reader: Registry
) -> None:
    for index in (WRITTEN, noted("dev.slipway.signature", "x")):
        hostile.answers["manifests/latest"] = content(index, INDEX)
        assert reader.pointer() == POINTER


@pytest.mark.parametrize(
    "realm", ["http://evil.example/token", "https://evil.example/token", "", "http://127.0.0.1.evil.example/"]
)
def test_the_password_is_sent_to_no_realm_that_is_not_beside_the_registry(
    hostile: HostileRegistry, reader: Registry, realm: str
) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    hostile.answers["manifests/a"] = Answer(status=401, headers=challenge)
    with pytest.raises(PermanentError, match="They were not sent"):
        reader.image("a")
    assert hostile.sent == []


@pytest.mark.parametrize(
    ("host", "realm", "expected"),
    [
        ("registry-1.docker.io", "https://auth.docker.io/token", True),
        ("team.azurecr.io", "https://team.azurecr.io/oauth2/token", True),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("registry.example.org", "https://gitlab.example.org/jwt/auth", True),
        ("team.azurecr.io", "http://team.azurecr.io/oauth2/token", False),
        ("team.azurecr.io", "https://team.azurecr.io.evil.example/", False),
        ("team.azurecr.io", "https://evil.example/", False),
        ("example.org", "https://evil.org/", False),
        ("registry.example.org", "https://127.0.0.1/", False),
        ("localhost", "http://127.0.0.1:5001/token", True),
    ],
)
def test_a_token_service_beside_the_registry_is_trusted(host: str, realm: str, expected: bool) -> None:
    assert is_trusted(httpx.URL(realm), httpx.URL(f"https://{host}/v2/")) is expected


def test_a_list_of_tags_that_goes_on_elsewhere_is_not_followed(
    hostile: HostileRegistry, reader: Registry
) -> None:
    with hostile_registry() as other:
        link = {"Link": f'<http://{other.address}/v2/team/app/tags/list>; rel="next"'}
        hostile.answers["tags/list"] = Answer(json.dumps({"tags": ["a"]}).encode(), headers=link)
        with pytest.raises(PermanentError, match="continues its tags at"):
            reader.tags()
        assert other.sent == []


def test_the_password_follows_no_redirect(hostile: HostileRegistry, reader: Registry) -> None:
    with hostile_registry() as other:
        other.answers["manifests/a"] = Answer(status=401, headers={"WWW-Authenticate": "Basic realm=x"})
        there = {"Location": f"http://{other.address}/v2/team/app/manifests/a"}
        hostile.answers["manifests/a"] = Answer(status=307, headers=there)
        with pytest.raises(CredentialsRefused):
            reader.image("a")
        assert other.sent == []


def test_who_has_no_password_may_be_sent_to_any_realm(hostile: HostileRegistry, reader: Registry) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:9/token"'}
    hostile.answers["manifests/a"] = Answer(status=401, headers=challenge)
    with pytest.raises(SlipwayError):
        replace(reader, credentials=None).image("a")
    assert hostile.sent == []
