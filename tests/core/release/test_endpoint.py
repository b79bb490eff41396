"""What has to be in order at the public URL before a release starts."""

import pytest

from flows.core.errors import EndpointFinding
from flows.core.release.decision import Observed
from flows.core.release.endpoint import is_whole, stops_release
from tests.core.releases import deployed

WHOLE, DOWN = deployed(), deployed(whole=False)
WAYS: dict[str, tuple[Observed | None, bool]] = {
    "first release": (None, False),
    "release over what is whole": (WHOLE, False),
    "release over what is down": (DOWN, False),
    "rollback of what is whole": (WHOLE, True),
    "rollback of what is down": (DOWN, True),
}


@pytest.mark.parametrize(
    ("finding", "stopped"),
    [
        ("unresolved", {"release over what is whole"}),
        ("refused", {"release over what is whole"}),
        ("unserved", {"release over what is whole"}),
        ("elsewhere", set(WAYS)),
        ("certificate", set(WAYS) - {"first release"}),
    ],
)
def test_what_a_release_may_mend_does_not_keep_it_from_starting(
    finding: EndpointFinding, stopped: set[str]
) -> None:
    found = {
        way
        for way, (live, is_rollback) in WAYS.items()
        if stops_release(finding, live, is_rollback=is_rollback)
    }
    assert found == stopped


def test_whole_is_what_is_live_with_all_its_replicas() -> None:
    assert [is_whole(one) for one in (WHOLE, DOWN, None)] == [True, False, False]
