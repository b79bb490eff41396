"""What is remembered of tests that passed, in every kind of store."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.core.build.capsule import Capsule
from flows.core.build.test_results import Case, Passed, TestResults
from flows.core.build.trust import Trust
from flows.services.images.test_cache import TestCache, key_of
from flows.services.models.blob_store import BlobStore

KEY, OTHER, SECRET = "a" * 64, "b" * 64, "s3cret-of-the-workers"
PASSED = Passed(TestResults((Case("t.a", 0.1),), skipped=0), "run-1", datetime(2026, 11, 24, tzinfo=UTC))


@pytest.mark.parametrize("inside", ["", "a team/of ours"])
def test_what_passed_is_found_by_its_key_alone_until_it_is_forgotten(blobs: BlobStore, inside: str) -> None:
    passed = TestCache(blobs, inside)
    passed.keep(KEY, PASSED, SECRET)
    assert passed.find(KEY, SECRET) == PASSED
    assert passed.find(OTHER, SECRET) is None
    passed.forget(KEY)
    assert passed.find(KEY, SECRET) is None
    passed.forget(KEY)


def test_another_model_has_the_same_key() -> None:
    assert key_of(Capsule("c" * 64, KEY), Trust.BRANCH) == key_of(Capsule("d" * 64, KEY), Trust.BRANCH)


def test_what_is_old_is_found_by_the_time_it_was_kept(folder: BlobStore) -> None:
    passed = TestCache(folder)
    passed.keep(KEY, PASSED, SECRET)
    now = datetime.now(UTC)
    assert [blob.path for blob in passed.older_than(now + timedelta(minutes=1))] == [f"tests/{KEY}.json"]
    assert passed.older_than(now - timedelta(minutes=1)) == []
