"""How long a rollout is watched, by a clock that the test moves."""

import pytest

from flows.core.rollout.clock import RolloutClock
from flows.core.rollout.verdict import Done, Failed, Progressing

UNDER_WAY = Progressing("0 of 3 new replicas ready")
COMING = Progressing("0 of 3 new replicas ready", coming="a node is being added")
NO_ROOM = Failed("no node has enough cpu", patience=60)
CRASHES = Failed("it keeps crashing")
PODS = frozenset({"a", "b"})


def clock() -> RolloutClock:
    return RolloutClock(timeout=120, patience=600, began=1000)


def test_a_rollout_has_its_time_and_no_more() -> None:
    watched = clock()
    assert not watched.ends(UNDER_WAY, PODS, 1120)
    assert watched.ends(UNDER_WAY, PODS, 1121)


def test_what_is_done_or_can_not_come_right_ends_the_watch_at_once() -> None:
    assert clock().ends(Done(3), PODS, 1001)
    assert clock().ends(CRASHES, PODS, 1001)


def test_time_in_which_room_is_coming_is_given_back() -> None:
    watched = clock()
    for second in range(1001, 1301):
        assert not watched.ends(COMING, PODS, second)
    assert watched.waited == 300
    assert not watched.ends(UNDER_WAY, PODS, 1420)
    assert watched.ends(UNDER_WAY, PODS, 1421)


def test_room_is_not_waited_for_for_longer_than_the_patience() -> None:
    watched = clock()
    ended = next(second for second in range(1001, 3000) if watched.ends(COMING, PODS, second))
    assert ended == 1000 + 600 + 120 + 1


def test_a_failure_counts_once_it_has_lasted() -> None:
    watched = clock()
    assert not watched.ends(NO_ROOM, PODS, 1010)
    assert not watched.ends(NO_ROOM, PODS, 1069)
    assert watched.ends(NO_ROOM, PODS, 1070)


@pytest.mark.parametrize("pods", [PODS | {"c"}, PODS - {"b"}], ids=["came", "went"])
def test_a_failure_counts_again_from_when_a_pod_came_or_went(pods: frozenset[str]) -> None:
    watched = clock()
    assert not watched.ends(NO_ROOM, PODS, 1010)
    assert not watched.ends(NO_ROOM, pods, 1050)
    assert not watched.ends(NO_ROOM, pods, 1109)
    assert watched.ends(NO_ROOM, pods, 1110)


def test_a_failure_counts_again_after_it_was_gone() -> None:
    watched = clock()
    assert not watched.ends(NO_ROOM, PODS, 1010)
    assert not watched.ends(UNDER_WAY, PODS, 1050)
    assert not watched.ends(NO_ROOM, PODS, 1060)
    assert not watched.ends(NO_ROOM, PODS, 1119)


def test_a_failure_that_may_pass_ends_the_watch_when_the_time_is_up() -> None:
    watched = clock()
    assert not watched.ends(NO_ROOM, PODS, 1100)
    assert watched.ends(NO_ROOM, PODS, 1121)


def test_a_server_that_was_away_gives_its_time_back_and_lets_failures_count_again() -> None:
    watched = clock()
    assert not watched.ends(NO_ROOM, PODS, 1010)
    watched.was_away(1011, 1111)
    assert not watched.ends(NO_ROOM, PODS, 1111)
    assert not watched.ends(NO_ROOM, PODS, 1170)
    assert watched.ends(NO_ROOM, PODS, 1171)
    assert not watched.is_late(1220)
    assert watched.is_late(1221)
