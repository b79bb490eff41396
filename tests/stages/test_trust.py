"""What was built or tested of a branch's commit never counts for the released branch, but the other way."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.core.build.capsule import Capsule
from flows.core.build.commit import Commit
from flows.core.build.image import digest_of, parse
from flows.core.build.test_results import Case, TestResults
from flows.core.build.trust import Trust
from flows.core.errors import ImageNotFound
from flows.core.model.model import Model
from flows.services.models.transfer import no_progress
from flows.services.registry.manifest import IMAGE_CONFIGS
from flows.stages import ci, resolve_image, test_cache
from flows.stages.ci import Inputs
from flows.stages.context import RunContext, opened
from tests.flows.team import MODELS
from tests.stand_ins.hostile_registry import Answer, HostileRegistry, content
from tests.support.own_credentials import OwnCredentials

NOW = datetime(2026, 11, 24, tzinfo=UTC)
COMMIT = Commit("/app", "a" * 40, "main", "Ada", NOW, "A change", Trust.RELEASED)
CAPSULE = Capsule("c" * 64, "d" * 64)
MODEL = Model("classifier", "1.0.0", "sha256:" + "1" * 64, "sha256:" + "2" * 64, 1)
RELEASED = Inputs(COMMIT, MODEL, parse("python@sha256:3"), CAPSULE)
BRANCH = replace(RELEASED, commit=replace(COMMIT, branch="feature", trust=Trust.BRANCH))
RESULTS = TestResults((Case("t.a", 0.1),), skipped=0)
CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "config": {"Labels": {"org.opencontainers.image.version": CAPSULE.hash}},
}


@pytest.fixture
def credentials(tmp_path: Path) -> OwnCredentials:
    return OwnCredentials(tmp_path)


@pytest.fixture
def run(hostile: HostileRegistry, credentials: OwnCredentials) -> Iterator[RunContext]:
    said: list[str] = []
    with opened("a-test", said.append, no_progress, credentials.source) as found:
        yield replace(found, say=said.append)


def put(hostile: HostileRegistry, tag: str, config: dict[str, Any] = CONFIG) -> str:
    """Have the registry hold an image; its digest."""
    body = json.dumps(config | {"tag": tag}).encode()
    answer = content({"config": {"digest": digest_of(body), "mediaType": IMAGE_CONFIGS[0]}})
    hostile.answers |= {f"blobs/{digest_of(body)}": Answer(body), f"manifests/{tag}": answer}
    hostile.answers[f"manifests/{digest_of(answer.body)}"] = answer
    return digest_of(answer.body)


def attach(hostile: HostileRegistry, tag: str) -> None:
    body = (MODELS / "digits" / "manifest.json").read_bytes()
    hostile.answers[f"blobs/{digest_of(body)}"] = Answer(body)
    hostile.answers[f"manifests/{tag}.model"] = content({"layers": [{"digest": digest_of(body)}]})


def test_a_run_of_the_released_branch_finds_no_image_of_another_branch(
    run: RunContext, hostile: HostileRegistry
) -> None:
    digest = put(hostile, f"branch-{CAPSULE.hash}")
    assert ci.find_image(run, RELEASED) is None
    found = ci.find_image(run, BRANCH)
    assert found
    assert found.digest == digest


def test_a_run_of_a_branch_takes_the_image_of_the_released_branch(
    run: RunContext, hostile: HostileRegistry
) -> None:
    put(hostile, f"branch-{CAPSULE.hash}")
    digest = put(hostile, CAPSULE.hash)
    for inputs in (RELEASED, BRANCH):
        found = ci.find_image(run, inputs)
        assert found
        assert found.digest == digest


def test_a_capsule_names_the_released_branchs_image_before_another_branchs(
    run: RunContext, hostile: HostileRegistry
) -> None:
    other = put(hostile, f"branch-{CAPSULE.hash}")
    attach(hostile, f"branch-{CAPSULE.hash}")
    assert resolve_image.find_candidate(run, CAPSULE.hash).image.digest == other
    with pytest.raises(ImageNotFound, match=f"holds no .*:{'e' * 64}"):
        resolve_image.find_candidate(run, "e" * 64)
    released = put(hostile, CAPSULE.hash)
    assert resolve_image.find_candidate(run, CAPSULE.hash).image.digest == released
    assert resolve_image.find_candidate(run, f"branch-{CAPSULE.hash}").image.digest == other


def test_a_pass_counts_for_another_model_and_for_branches_but_not_for_the_released_branch(
    run: RunContext,
) -> None:
    test_cache.keep_tests(run, BRANCH, RESULTS)
    other_model = replace(BRANCH, capsule=replace(CAPSULE, hash="e" * 64))
    assert test_cache.look_up_tests(run, other_model, fresh=False).passed
    assert test_cache.look_up_tests(run, RELEASED, fresh=False).passed is None
    test_cache.keep_tests(run, RELEASED, RESULTS)
    test_cache.forget_tests(run, BRANCH)
    for inputs in (RELEASED, BRANCH):
        assert test_cache.look_up_tests(run, inputs, fresh=False).passed


def test_without_a_secret_no_pass_is_reused_and_the_log_says_so(
    run: RunContext, credentials: OwnCredentials
) -> None:
    test_cache.keep_tests(run, RELEASED, RESULTS)
    said: list[str] = []
    credentials.secrets.clear()
    with opened("another", said.append, no_progress, credentials.source) as unaware:
        earlier = test_cache.look_up_tests(unaware, RELEASED, fresh=False)
    assert (earlier.passed, earlier.answers) == (None, False)
    (line,) = said
    assert line.startswith("Passed tests are not reused, and this run will not cache its own: Prefect has no")
