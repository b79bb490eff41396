"""What a registry that lies gets: an error of ours, and no password.

After the class: what a registry may answer that does not lie, as with the index of another builder.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest

from flows.core.build.image import Image, Reference, digest_of
from flows.core.errors import (
    CredentialsRefused,
    DigestMismatch,
    ImageNotFound,
    PermanentError,
    RegistryUnavailable,
    SlipwayError,
)
from flows.services.registry import api, client, halves
from flows.services.registry.api import SMALL
from flows.services.registry.auth import Credentials, always, anonymous, is_trusted
from flows.services.registry.client import Registry, resolve_base
from flows.services.registry.manifest import IMAGE_CONFIGS
from tests.stand_ins.endless_server import endless_server
from tests.stand_ins.hostile_registry import INDEX, Answer, HostileRegistry, content, hostile_registry
from tests.stand_ins.http_server import JsonHandler, serving
from tests.support.a_pointer import POINTER

OTHER = "sha256:" + "0" * 64


@pytest.fixture
def hostile() -> Iterator[HostileRegistry]:
    with hostile_registry() as found:
        yield found


@pytest.fixture
def reader(hostile: HostileRegistry) -> Registry:
    login = Credentials(hostile.address, "ci", "s3cret")
    return Registry(hostile.address, "team/app", always(login), insecure=True)


def entry(architecture: str, digest: str) -> dict[str, Any]:
    """One image of an index."""
    return {"digest": digest, "platform": {"os": "linux", "architecture": architecture}}


def config(architecture: str = "amd64", os: str = "linux") -> bytes:
    """The configuration of an image."""
    return json.dumps({"os": os, "architecture": architecture}).encode()


def image_with(configuration: bytes) -> Answer:
    return content({"config": {"digest": digest_of(configuration), "mediaType": IMAGE_CONFIGS[0]}})


IMAGE = image_with(config())
RUNNABLE = entry("amd64", digest_of(IMAGE.body))
ATTESTATION = {
    "digest": "sha256:" + "2" * 64,
    "platform": {"os": "unknown", "architecture": "unknown"},
    "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
}
DISGUISED = RUNNABLE | {"digest": OTHER, "annotations": {"vnd.docker.reference.type": "other"}}

WRITTEN = POINTER.to_index("application/vnd.oci.image.manifest.v1+json", 7, "linux/amd64")
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

ENDLESS = 1 << 30
"""Bytes that a server offers, and that nothing reads to the end."""


class EndlessServer(JsonHandler):
    """Offers a gigabyte at every path; `sent` counts what was taken of it."""

    sent = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(ENDLESS))
        self.end_headers()
        with suppress(ConnectionError):
            for _ in range(ENDLESS >> 16):
                self.wfile.write(bytes(1 << 16))
                type(self).sent += 1 << 16


class TestHostileRegistry:
    @pytest.mark.parametrize(
        "named", [{}, {"Docker_Content_Digest": "sha256:short"}], ids=["none", "no digest"]
    )
    def test_a_registry_that_names_no_digest_of_the_base_image_is_asked_for_its_content(
        self, hostile: HostileRegistry, reader: Registry, named: dict[str, str]
    ) -> None:
        hostile.answers["manifests/3.11"] = content({"schemaVersion": 2}, **named)
        if named:
            with pytest.raises(DigestMismatch):
                reader.digest("3.11")
        else:
            assert reader.digest("3.11") == digest_of(b'{"schemaVersion": 2}')
        assert hostile.asked == ["HEAD", "GET"]
        with pytest.raises(ImageNotFound):
            reader.digest("3.12")

    def test_a_manifest_that_is_not_what_its_header_says_is_refused(
        self, hostile: HostileRegistry, reader: Registry
    ) -> None:
        hostile.answers["manifests/a"] = content({}, Docker_Content_Digest=OTHER)
        with pytest.raises(DigestMismatch, match="with other content"):
            reader.image("a")

    def test_a_manifest_that_is_not_the_one_that_was_asked_for_is_refused(
        self, hostile: HostileRegistry, reader: Registry
    ) -> None:
        hostile.answers[f"manifests/{OTHER}"] = content({}, Docker_Content_Digest=OTHER)
        with pytest.raises(DigestMismatch):
            reader.image(OTHER)

    def test_a_blob_that_is_not_the_one_that_was_asked_for_is_refused(
        self, hostile: HostileRegistry, reader: Registry
    ) -> None:
        hostile.answers["manifests/a.model"] = content({"layers": [{"digest": OTHER}]})
        hostile.answers[f"blobs/{OTHER}"] = Answer(b"harm")
        with pytest.raises(DigestMismatch):
            reader.attached("a")

    @pytest.mark.parametrize("extra", [1, SMALL])
    def test_more_than_a_manifest_may_have_is_not_read(
        self, hostile: HostileRegistry, reader: Registry, extra: int
    ) -> None:
        hostile.answers["manifests/a"] = Answer(bytes(SMALL + extra))
        with pytest.raises(PermanentError, match=f"with more than {SMALL} bytes"):
            reader.image("a")

    @pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"text"', b"{", b"\xff"])
    def test_what_is_no_manifest_is_an_error_of_ours(
        self, hostile: HostileRegistry, reader: Registry, body: bytes
    ) -> None:
        hostile.answers["manifests/latest"] = Answer(body, headers={"Content-Type": INDEX})
        for ask in (reader.pointer, lambda: reader.image("latest")):
            with pytest.raises(PermanentError, match="is no JSON object"):
                ask()

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
        self, hostile: HostileRegistry, reader: Registry, index: dict[str, Any]
    ) -> None:
        hostile.answers["manifests/a"] = content(index, INDEX)
        with pytest.raises(ImageNotFound, match="lists no image, or several, for linux/amd64"):
            reader.image("a")

    @pytest.mark.parametrize("index", MALFORMED.values(), ids=MALFORMED.keys())
    def test_a_pointer_that_another_tool_wrote_is_an_error_that_names_the_key(
        self, hostile: HostileRegistry, reader: Registry, index: dict[str, Any]
    ) -> None:
        hostile.answers["manifests/latest"] = content(index, INDEX)
        with pytest.raises(PermanentError, match="pointer to an image is malformed: key"):
            reader.pointer()

    @pytest.mark.parametrize(
        "realm",
        ["http://evil.example/token", "https://evil.example/token", "", "http://127.0.0.1.evil.example/"],
    )
    def test_the_password_is_sent_to_no_realm_that_is_not_beside_the_registry(
        self, hostile: HostileRegistry, reader: Registry, realm: str
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
    def test_a_token_service_beside_the_registry_is_trusted(
        self, host: str, realm: str, expected: bool
    ) -> None:
        assert is_trusted(httpx.URL(realm), httpx.URL(f"https://{host}/v2/")) is expected

    def test_a_list_of_tags_that_goes_on_elsewhere_is_not_followed(
        self, hostile: HostileRegistry, reader: Registry
    ) -> None:
        with hostile_registry() as other:
            link = {"Link": f'<http://{other.address}/v2/team/app/tags/list>; rel="next"'}
            hostile.answers["tags/list"] = Answer(json.dumps({"tags": ["a"]}).encode(), headers=link)
            with pytest.raises(PermanentError, match="continues its tags at"):
                reader.tags()
            assert other.sent == []

    def test_a_list_of_tags_without_end_ends(
        self, hostile: HostileRegistry, reader: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "PAGES", 3)
        link = {"Link": '</v2/team/app/tags/list>; rel="next"'}
        hostile.answers["tags/list"] = Answer(b'{"tags": ["a"]}', headers=link)
        with pytest.raises(PermanentError, match="lists tags of team/app without end"):
            reader.tags()

    def test_no_more_is_read_of_a_token_services_answer(
        self, hostile: HostileRegistry, reader: Registry
    ) -> None:
        realm = f'Bearer realm="http://{hostile.address}/v2/team/app/token",service="x"'
        hostile.answers["manifests/a"] = Answer(status=401, headers={"WWW-Authenticate": realm})
        hostile.answers["token"] = Answer(bytes(SMALL + 1))
        with pytest.raises(PermanentError):
            reader.image("a")

    @pytest.mark.parametrize("status", [401, 307])
    def test_no_more_is_read_of_an_answer_on_the_way(
        self, hostile: HostileRegistry, reader: Registry, status: int
    ) -> None:
        headers = {"WWW-Authenticate": "Basic realm=x", "Location": "/v2/team/app/manifests/b"}
        hostile.answers["manifests/a"] = Answer(bytes(SMALL + 1), status, headers)
        with pytest.raises(PermanentError, match=f"with more than {SMALL} bytes"):
            reader.image("a")

    def test_an_answer_that_comes_a_byte_at_a_time_is_an_outage(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(api, "FIRST_BYTE", 0.2 - SMALL / api.SLOWEST)
        with endless_server() as url:
            slow = Registry(url.removeprefix("http://"), "slow-headers", insecure=True)
            with pytest.raises(RegistryUnavailable, match=r"no whole answer within 0\.2 s"):
                slow.image("a")

    def test_the_password_follows_no_redirect(self, hostile: HostileRegistry, reader: Registry) -> None:
        with hostile_registry() as other:
            other.answers["manifests/a"] = Answer(status=401, headers={"WWW-Authenticate": "Basic realm=x"})
            there = {"Location": f"http://{other.address}/v2/team/app/manifests/a"}
            hostile.answers["manifests/a"] = Answer(status=307, headers=there)
            with pytest.raises(CredentialsRefused):
                reader.image("a")
            assert other.sent == []

    def test_who_has_no_password_may_be_sent_to_any_realm(
        self, hostile: HostileRegistry, reader: Registry
    ) -> None:
        challenge = {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:9/token"'}
        hostile.answers["manifests/a"] = Answer(status=401, headers=challenge)
        with pytest.raises(SlipwayError):
            replace(reader, login=anonymous).image("a")
        assert hostile.sent == []

    def test_an_answer_without_end_is_given_up_at_its_limit(self) -> None:
        EndlessServer.sent = 0
        with serving(EndlessServer) as address:
            registry = Registry(address.removeprefix("http://"), "team/app", insecure=True)
            with pytest.raises(PermanentError, match=f"with more than {SMALL} bytes"):
                registry.image("a")
        assert EndlessServer.sent < ENDLESS / 8

    def test_a_token_without_end_is_given_up(self, hostile: HostileRegistry, reader: Registry) -> None:
        EndlessServer.sent = 0
        with serving(EndlessServer) as address:
            challenge = {"WWW-Authenticate": f'Bearer realm="{address}/token"'}
            hostile.answers["manifests/a"] = Answer(status=401, headers=challenge)
            with pytest.raises(PermanentError, match="with more than"):
                reader.image("a")
        assert EndlessServer.sent < ENDLESS / 8

    @pytest.mark.parametrize(
        "answer", [b"", b"[]", b"{}", b"{", b'{"token": 1}', b'{"token": "a\\r\\nX-Harm: 1"}', b"[" * 100_000]
    )
    def test_what_is_no_token_is_an_error_of_ours(
        self, hostile: HostileRegistry, reader: Registry, answer: bytes
    ) -> None:
        hostile.answers["manifests/a"] = Answer(
            status=401,
            headers={"WWW-Authenticate": f'Bearer realm="http://{hostile.address}/v2/team/app/token"'},
        )
        hostile.answers["token"] = Answer(answer)
        with pytest.raises(PermanentError, match="gave no token"):
            reader.image("a")

    @pytest.mark.parametrize("body", [b"[]", b"{", b'{"tags": 1}', b'{"tags": [1]}', b"[" * 100_000])
    def test_what_is_no_list_of_tags_is_an_error_of_ours(
        self, hostile: HostileRegistry, reader: Registry, body: bytes
    ) -> None:
        hostile.answers["tags/list"] = Answer(body)
        with pytest.raises(PermanentError, match="gives no list of its tags"):
            reader.tags()

    @pytest.mark.parametrize(
        "configuration",
        [
            b"[]",
            b"{",
            b'{"config": []}',
            b'{"config": {"Labels": [1]}}',
            b'{"config": {"Labels": {"a": 1}}}',
            b'{"created": "yesterday"}',
            b'{"created": "2026-01-01"}',
        ],
    )
    def test_a_malformed_configuration_is_an_error_of_ours(
        self, hostile: HostileRegistry, reader: Registry, configuration: bytes
    ) -> None:
        kind = "application/vnd.oci.image.config.v1+json"
        digest = digest_of(configuration)
        hostile.answers["manifests/a"] = content({"config": {"mediaType": kind, "digest": digest}})
        hostile.answers[f"blobs/{digest}"] = Answer(configuration)
        manifest = reader.manifest("a")
        hostile.answers[f"manifests/{manifest.digest}"] = hostile.answers["manifests/a"]
        for ask in (lambda: reader.labels(reader.image("a")), lambda: reader.configuration(manifest)):
            with pytest.raises(PermanentError, match=r"The configuration of .* is malformed"):
                ask()

    @pytest.mark.parametrize(
        "configuration",
        [
            b"[]",
            b"{",
            b'{"config": null, "rootfs": {"diff_ids": []}}',
            b'{"config": {"Env": "A=1"}, "rootfs": {"diff_ids": []}}',
            b'{"config": {}, "rootfs": []}',
            b'{"config": {}, "rootfs": {"diff_ids": []}, "history": ["FROM scratch"]}',
        ],
    )
    def test_a_malformed_configuration_of_a_code_half_is_an_error_of_ours(
        self, hostile: HostileRegistry, reader: Registry, configuration: bytes
    ) -> None:
        manifest = content(
            {
                "config": {"digest": digest_of(configuration), "mediaType": IMAGE_CONFIGS[0]},
                "layers": [{"digest": OTHER, "size": 7}],
            }
        )
        half = digest_of(manifest.body)
        hostile.answers[f"manifests/{half}"] = manifest
        hostile.answers[f"blobs/{digest_of(configuration)}"] = Answer(configuration)
        with pytest.raises(PermanentError, match=r"The configuration of the code half .* is malformed: "):
            halves.read_code_half(reader, Image(reader.name, half))

    @pytest.mark.parametrize(
        "manifest",
        [
            {"config": "x", "layers": []},
            {"config": {"digest": "../../x"}},
            {"layers": {"digest": OTHER}},
            {"layers": [{"digest": OTHER, "size": -1}]},
            {"manifests": [{"digest": OTHER, "platform": "linux"}]},
        ],
    )
    def test_a_malformed_manifest_is_an_error_of_ours(
        self, hostile: HostileRegistry, reader: Registry, manifest: dict[str, Any]
    ) -> None:
        hostile.answers["manifests/a"] = content(manifest)
        with pytest.raises(PermanentError, match=r"The registry's manifest .* is malformed: key"):
            _ = reader.manifest("a").blobs

    @pytest.mark.parametrize("time", ["9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00"])
    def test_a_pointer_at_the_end_of_time_is_malformed(
        self, hostile: HostileRegistry, reader: Registry, time: str
    ) -> None:
        hostile.answers["manifests/latest"] = content(noted("dev.slipway.committed", time), INDEX)
        with pytest.raises(PermanentError, match="is no time between 1970 and 9000"):
            reader.pointer()


def test_a_manifest_without_a_digest_in_its_header_has_that_of_its_content(
    hostile: HostileRegistry, reader: Registry
) -> None:
    hostile.answers["manifests/a"] = content({"schemaVersion": 2})
    assert reader.manifest("a").digest == digest_of(b'{"schemaVersion": 2}')


def test_a_base_image_is_asked_for_without_its_content(hostile: HostileRegistry, reader: Registry) -> None:
    """Docker Hub limits how often content is asked for."""
    base = content({"schemaVersion": 2}, Docker_Content_Digest=OTHER)
    hostile.answers["manifests/3.11"] = base
    name = Reference(hostile.address, "team/app", "3.11")
    assert resolve_base(name, reader) == replace(name, reference=OTHER)
    assert hostile.asked == ["HEAD"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "Create the repository in the registry"), (405, "does not allow POST: it is read-only")],
    ids=["there is no repository", "it is read-only"],
)
def test_a_registry_that_takes_no_upload_says_what_to_change(
    hostile: HostileRegistry, reader: Registry, status: int, reason: str
) -> None:
    hostile.answers["blobs/uploads/"] = Answer(status=status)
    with pytest.raises(PermanentError, match=reason):
        reader.attach("a", b"{}")


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
    hostile.answers |= {
        f"manifests/{RUNNABLE['digest']}": IMAGE,
        f"blobs/{digest_of(config())}": Answer(config()),
    }
    assert reader.image("a").digest == RUNNABLE["digest"]
    assert reader.pointer("a") is None


@pytest.mark.parametrize(
    "configuration",
    [config("arm64"), config(os="windows"), b"{}"],
    ids=["another architecture", "another system", "neither is named"],
)
def test_an_image_for_another_platform_is_as_good_as_none(
    hostile: HostileRegistry, reader: Registry, configuration: bytes
) -> None:
    image = image_with(configuration)
    hostile.answers |= {
        "manifests/a": image,
        "manifests/b": content({"manifests": [entry("amd64", digest_of(image.body))]}, INDEX),
        f"manifests/{digest_of(image.body)}": image,
        f"blobs/{digest_of(configuration)}": Answer(configuration),
    }
    for reference in ("a", "b", digest_of(image.body)):
        with pytest.raises(ImageNotFound, match=r"is an image for .*, not for linux/amd64"):
            reader.image(reference)
        assert reader.find(reference) is None


def test_the_platform_that_counts_is_a_setting(hostile: HostileRegistry, reader: Registry) -> None:
    hostile.answers |= {
        "manifests/a": image_with(config("arm64")),
        f"blobs/{digest_of(config('arm64'))}": Answer(config("arm64")),
    }
    assert replace(reader, platform="linux/arm64").find("a")
    assert reader.find("a") is None


def test_a_pointer_that_is_right_is_read_also_one_of_a_later_version(
    hostile: HostileRegistry, reader: Registry
) -> None:
    for index in (WRITTEN, noted("dev.slipway.signature", "x")):
        hostile.answers["manifests/latest"] = content(index, INDEX)
        assert reader.pointer() == POINTER
