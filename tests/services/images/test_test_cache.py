"""What is remembered of tests that passed, in every kind of store."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.core.build.capsule import Capsule
from flows.core.build.test_results import Case, Passed, TestResults
from flows.services.images.test_cache import TestCache
from flows.services.models.blob_store import BlobStore

CAPSULE, OTHER = Capsule("a" * 64), Capsule("b" * 64)
PASSED = Passed(TestResults((Case("t.a", 0.1),), skipped=0), "run-1", datetime(2026, 11, 24, tzinfo=UTC))


@pytest.mark.parametrize("inside", ["", "a team/of ours"])
def test_what_passed_is_found_by_its_capsule_alone_until_it_is_forgotten(
    blobs: BlobStore, inside: str
) -> None:
    passed = TestCache(blobs, inside)
    passed.keep(CAPSULE, PASSED)
    assert passed.find(CAPSULE) == PASSED
    assert passed.find(OTHER) is None
    passed.forget(CAPSULE)
    assert passed.find(CAPSULE) is None
    passed.forget(CAPSULE)


def test_what_is_old_is_found_by_the_time_it_was_kept(folder: BlobStore) -> None:
    passed = TestCache(folder)
    passed.keep(CAPSULE, PASSED)
    now = datetime.now(UTC)
    assert [blob.path for blob in passed.older_than(now + timedelta(minutes=1))] == [
        f"tests/{CAPSULE.hash}.json"
    ]
    assert passed.older_than(now - timedelta(minutes=1)) == []
