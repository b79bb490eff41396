"""Variants of each file that another system writes, thousands in all: each is read, or is an error of ours.

What is read is used as the flows use it. The variants are the same in every run.
"""

import base64
import gzip
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.core.build import latest, test_results
from flows.core.build.content import BuildContent, ModelVersion, what_changed
from flows.core.build.image import digest_of
from flows.core.build.latest import INDEX, BranchFacts, LatestPointer
from flows.core.build.test_results import Case, Passed, TestResults
from flows.core.errors import ModelNotFound, SlipwayError
from flows.core.model import manifest
from flows.core.model.model import Latest, Pin
from flows.core.release import history_page
from flows.core.release import record as records
from flows.core.release.environment_state import EnvironmentState, Hold, Quarantine
from flows.core.release.found import created, given_back
from flows.core.trigger.trigger import Rules
from flows.services.kubernetes import release_store
from flows.services.kubernetes.kubeconfig import access
from flows.services.registry.client import TagList
from flows.services.registry.manifest import OCI_MANIFEST, ImageConfiguration, ImageManifest
from flows.triggers import webhooks
from tests.security.mutations import mutated, mutated_text
from tests.support.a_record import NOON, good

TESTS = Path(__file__).parent.parent
DIGEST = "sha256:" + "1" * 64
SECRET = "s3cret"

EACH = 250
"""Variants of one kind of file."""

variants = settings(
    max_examples=EACH,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


def each_is_read_or_refused(valid: Any, read: Callable[[bytes], object]) -> None:
    """The valid one is read. A variant is read, or ends in an error of ours; half of them are JSON."""
    read(json.dumps(valid).encode())
    counts = {"all": 0, "json": 0, "read": 0}

    @variants
    @given(mutated_text(valid))
    def try_each(content: bytes) -> None:
        counts["all"] += 1
        with suppress(ValueError, RecursionError):
            json.loads(content)
            counts["json"] += 1
        with suppress(SlipwayError):
            read(content)
            counts["read"] += 1

    try_each()
    assert counts["all"] >= EACH
    assert counts["json"] >= counts["all"] / 2
    assert 0 < counts["read"] < counts["all"]


def test_pointers_of_a_model_store() -> None:
    valid = {
        **{"name": "digits", "version": "1.0.0", "digest": DIGEST, "manifest_digest": DIGEST, "size": 3},
        "published": "2026-05-04T12:00:00Z",
    }

    def read(content: bytes) -> None:
        found = Latest.parse(content, source="latest.json", name="digits")
        assert Latest.parse(found.to_bytes(), source="latest.json", name="digits") == found
        datetime.fromisoformat(found.published)

    each_is_read_or_refused(valid, read)


def test_pins_of_a_model_store() -> None:
    valid = {"version": "1.0.0", "since": "2026-05-04T12:00:00+00:00", "run": "run-1"}

    def read(content: bytes) -> None:
        found = Pin.parse(content, source="pin.json")
        assert Pin.parse(found.to_bytes(), source="pin.json") == found
        datetime.fromisoformat(found.since)

    each_is_read_or_refused(valid, read)


def test_manifests_of_models() -> None:
    valid = json.loads((TESTS / "app" / "models" / "digits" / "manifest.json").read_text())
    facts = {
        "name": "digits",
        "version": "1.0.0",
        "digest": DIGEST,
        "size": 3,
        "created": "2026-05-04T12:00:00Z",
    }
    valid = valid | facts | {"examples": valid["examples"][:1]}

    def read(content: bytes) -> None:
        found = manifest.parse(content, source="manifest.json")
        assert manifest.parse(found.to_bytes(), source="manifest.json") == found
        datetime.fromisoformat(found.created)
        for example in found.examples:
            example.disagreement([("0", 50.0)])

    each_is_read_or_refused(valid, read)


CONTENT = BuildContent("a" * 40, ModelVersion("digits", "1.0.0", DIGEST), NOON, "c" * 64)
POINTER = LatestPointer("sha256:" + "a" * 64, CONTENT, "a change", "main", "run-1")


def test_indexes_that_latest_names() -> None:
    facts = BranchFacts("main", True, False, True, True, ("1.0.0", DIGEST), built_as_released=True)

    def read(content: bytes) -> None:
        index = ImageManifest(digest_of(content), INDEX, content)
        pointer = LatestPointer.from_index(index.content)
        runnable = index.runnable("linux/amd64")
        assert runnable is None or runnable.startswith("sha256:")
        if pointer is not None:
            moved = POINTER.following(pointer)
            assert moved.content.committed >= pointer.content.committed
            latest.decide(POINTER, pointer, facts)
            what_changed(pointer.content, CONTENT)
            json.dumps(pointer.to_index(OCI_MANIFEST, 3, "linux/amd64")).encode()

    each_is_read_or_refused(POINTER.to_index(OCI_MANIFEST, 3, "linux/amd64"), read)


def test_manifests_of_images() -> None:
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 7}
    valid = {"schemaVersion": 2, "config": layer | {"annotations": {"a": "b"}}, "layers": [layer, layer]}

    def read(content: bytes) -> None:
        found = ImageManifest(digest_of(content), OCI_MANIFEST, content)
        assert all(size >= 0 for size in found.blobs.values())
        assert found.runnable("linux/amd64") is None

    each_is_read_or_refused(valid, read)


def test_records_of_releases() -> None:
    valid = good(3, lifts_hold=NOON, asked_for="a title", written_by="0.2.0").to_json()

    def read(content: bytes) -> None:
        data = {release_store.KEY: base64.b64encode(gzip.compress(content, 1)).decode()}
        found = release_store._unpacked({"metadata": {"name": "slipway-release-3"}, "data": data})
        history = [good(2), found]
        for question in (records.live, records.previous_good, records.next_number, records.expired):
            question(history)
        records.promotable(history, 0, NOON)
        created(found, good(2))
        given_back(found, good(2))
        history_page.environment_page("production", history, lambda run: run, UTC)
        json.dumps(found.to_json()).encode()

    each_is_read_or_refused(valid, read)


def test_what_an_environment_remembers() -> None:
    mark = Quarantine(DIGEST, "it crashed", NOON, "run-1")
    valid = EnvironmentState(Hold(NOON, "Ada", "a demo"), (mark, mark)).to_json()

    def read(content: bytes) -> None:
        with suppress(ValueError):
            found = EnvironmentState.from_json(json.loads(content))
            assert EnvironmentState.from_json(found.to_json()) == found
            found.with_mark(mark).without_mark(DIGEST, "m").mark_of(DIGEST)
            if found.hold:
                found.hold.as_text(UTC)

    each_is_read_or_refused(valid, read)


def test_memories_of_passed_tests() -> None:
    results = TestResults((Case("a", 0.1), Case("b", 0.2)), 0)
    valid = json.loads(Passed(results, "run-1", NOON).to_bytes(DIGEST, SECRET))

    def read(content: bytes) -> None:
        found = Passed.from_bytes(content, DIGEST, SECRET)
        if found is None:
            raise ModelNotFound("It is no memory.")  # as the flow goes on without it
        assert found.results.passed > 0
        assert str(found)

    each_is_read_or_refused(valid, read)


def test_kubeconfigs_of_blocks() -> None:
    cluster = {"server": "https://10.0.0.1:6443", "certificate-authority-data": "QUJD"}
    valid = {
        "apiVersion": "v1",
        "current-context": "aks",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": SECRET}}],
        "contexts": [{"name": "aks", "context": {"cluster": "c", "user": "u"}}],
    }

    def read(content: bytes) -> None:
        found = access(content.decode(errors="replace"), "a-block")
        assert found.server.startswith("https://")
        assert found.token()
        assert SECRET not in repr(found)

    each_is_read_or_refused(valid, read)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """Signed deliveries are taken; there is no model to build with yet."""
    rules = Rules("github.com/codertocat/hello-world", ("*",), "master")
    config = SimpleNamespace(github=SECRET, azure_devops="slipway:pass", rules=rules)
    monkeypatch.setattr(webhooks, "ConfigCache", lambda _say: SimpleNamespace(get=lambda: config))

    def no_model(*_: object) -> None:
        raise ModelNotFound("The store has no model.")

    monkeypatch.setattr(webhooks, "_started", no_model)
    return webhooks.application().test_client()


def answered(status: int) -> None:
    """As `each_is_read_or_refused` wants it; anything but an answer or a refusal fails the test."""
    assert status in {200, 403, 413, 422}
    if status != 200:
        raise ModelNotFound("refused")


def test_deliveries_of_github(receiver: FlaskClient) -> None:
    def read(content: bytes) -> None:
        signature = f"sha256={hmac.new(SECRET.encode(), content, 'sha256').hexdigest()}"
        headers = {"X-Hub-Signature-256": signature, "X-GitHub-Event": "push"}
        sent = receiver.post("/hooks/github", data=content, headers=headers, content_type="application/json")
        answered(sent.status_code)

    each_is_read_or_refused(delivery("github-push"), read)


def test_deliveries_of_azure_devops(receiver: FlaskClient) -> None:
    valid = delivery("azure-devops-git-push")
    valid["resource"]["repository"]["remoteUrl"] = "https://github.com/codertocat/hello-world"

    def read(content: bytes) -> None:
        sent = receiver.post("/hooks/azure-devops", data=content, auth=("slipway", "pass"))
        answered(sent.status_code)

    each_is_read_or_refused(valid, read)


def delivery(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((TESTS / "deliveries" / f"{name}.json").read_text())
    return content


REPORT = """<testsuites><testsuite name="s" tests="2" time="0.3">
<testcase classname="check" name="test_a" time="0.1"/>
<testcase classname="check" name="test_b" time="0.2"><failure message="no">at line 1</failure></testcase>
</testsuite></testsuites>"""


@variants
@given(st.data())
def test_reports_of_tests(data: st.DataObject) -> None:
    text = REPORT
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.text(max_size=4)) + text[at + data.draw(st.integers(0, 6)) :]
    with suppress(SlipwayError):
        found = test_results.parse(text.encode(errors="replace"))
        assert str(found)
        assert found.slowest is not None
        test_results.require_success(found, 0, "")


@variants
@given(st.data())
def test_answers_of_a_registry_about_an_image(data: st.DataObject) -> None:
    """Its configuration and its list of tags, as the client reads them."""
    valid = {"created": "2026-05-04T12:00:00.123456789Z", "config": {"Labels": {"a": "b"}}, "tags": ["a"]}
    content = data.draw(mutated(valid))
    for kind in (ImageConfiguration, TagList):
        with suppress(ValueError):
            kind.model_validate(content)


def test_yaml_that_is_no_json_is_a_kubeconfig_too() -> None:
    """So that the variants above say something of the form that people write."""
    with pytest.raises(SlipwayError):
        access(yaml.safe_dump({"a": [1, 2]}), "a-block")
