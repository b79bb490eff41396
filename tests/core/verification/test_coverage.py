"""Asking replicas that a load balancer chooses, by a clock of its own: nothing waits here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from math import inf
from random import Random
from statistics import mean, median
from typing import TypeAlias

import pytest

from flows.core.verification.coverage import Coverage, enough

PATIENCE = 30.0


@dataclass(frozen=True)
class Asked:
    """How asking ended, after so many requests and seconds."""

    complete: bool
    requests: int
    seconds: float
    coverage: Coverage


def replicas(count: int) -> list[str]:
    return [f"app-{number}" for number in range(count)]


Balancer: TypeAlias = Callable[[bool], tuple[str | None, bool]]
"""Whether a connection is to be kept -> the replica that answers, None without an answer, and whether it
answered over that connection."""


def ask(count: int, questions: int, latency: float, balancer: Balancer) -> Asked:
    """Ask until all is answered or nothing more is to be expected."""
    now, requests = 0.0, 0
    coverage = Coverage(frozenset(replicas(count)), questions, PATIENCE, now)
    while not coverage.is_complete and not coverage.is_stalled(now):
        question = coverage.wanted
        now, requests = now + latency, requests + 1
        replica, over_kept = balancer(coverage.keeps_connection)
        if replica is None:
            coverage.lost_connection()
        else:
            coverage.answered(replica, question, now, over_kept=over_kept)
    return Asked(coverage.is_complete, requests, now, coverage)


def layer_4(chosen: Callable[[], str | None], *, lasts: float = inf) -> Balancer:
    """A replica for each connection, whose server closes it after so many answers."""
    at: str | None = None
    answers = 0

    def balancer(is_to_be_kept: bool) -> tuple[str | None, bool]:
        nonlocal at, answers
        if is_kept := is_to_be_kept and answers < lasts:
            answers += 1
        else:
            at, answers = chosen(), 1
        return at, is_kept

    return balancer


def layer_7(chosen: Callable[[], str | None]) -> Balancer:
    """A replica for each request, whatever the connection."""
    return lambda is_kept: (chosen(), is_kept)


def layer_7_over_nodes(chosen: Callable[[], str]) -> Balancer:
    """Two nodes in turn for the requests over a connection, and a replica of each node for all of them."""
    ends: list[str] = []

    def balancer(is_kept: bool) -> tuple[str, bool]:
        nonlocal ends
        ends = ends[::-1] if is_kept else [chosen(), chosen()]
        return ends[0], is_kept

    return balancer


Layer: TypeAlias = Callable[[Callable[[], str]], Balancer]
LAYERS = pytest.mark.parametrize("layer", [layer_4, layer_7, layer_7_over_nodes])


def connections(count: int) -> float:
    """How many are expected until each replica has been chosen."""
    return count * sum(1 / number for number in range(1, count + 1))


def by_chance(random: Random, count: int) -> Callable[[], str]:
    names = replicas(count)
    return lambda: random.choice(names)


def by_node(random: Random, *on_node: int) -> Callable[[], str]:
    """Each node gets as many connections, and spreads them over its own replicas."""
    names = iter(replicas(sum(on_node)))
    nodes = [[next(names) for _ in range(count)] for count in on_node]
    return lambda: random.choice(random.choice(nodes))


@LAYERS
@pytest.mark.parametrize(
    ("count", "latency"), [(1, 0.01), (3, 0.01), (10, 1.0), (10, 2.0), (20, 0.5), (50, 0.2)]
)
def test_good_replicas_are_proven_however_many_and_however_slow(
    layer: Layer, count: int, latency: float
) -> None:
    random = Random(count)
    assert all(ask(count, 8, latency, layer(by_chance(random, count))).complete for _ in range(5))


@pytest.mark.slow
@pytest.mark.parametrize("layer", [layer_4, layer_7])
@pytest.mark.parametrize(("count", "latency"), [(3, 0.05), (10, 1.0), (10, 2.0), (20, 0.5), (50, 0.2)])
def test_of_1000_good_releases_at_most_one_fails_its_proof(layer: Layer, count: int, latency: float) -> None:
    random = Random(count)
    asked = [ask(count, 8, latency, layer(by_chance(random, count))) for _ in range(1000)]
    assert sum(one.complete for one in asked) >= 999
    print(f"{layer.__name__}, {count} replicas: {median(one.requests for one in asked)} requests")


@pytest.mark.slow
@LAYERS
def test_neither_do_they_where_one_node_has_most_of_the_replicas(
    layer: Layer,
) -> None:
    random = Random(7)
    passed = sum(ask(10, 8, 0.5, layer(by_node(random, 8, 1, 1))).complete for _ in range(1000))
    assert passed >= 999


@pytest.mark.parametrize("count", [3, 10, 50])
def test_a_kept_connection_takes_a_request_for_each_pair_and_one_for_each_connection(count: int) -> None:
    random = Random(count)
    requests = [ask(count, 8, 0.01, layer_4(by_chance(random, count))).requests for _ in range(20)]
    assert mean(requests) <= count * 8 + connections(count)


@pytest.mark.parametrize("layer", [layer_7, partial(layer_4, lasts=1)], ids=["layer 7", "closed"])
def test_where_no_replica_is_kept_no_more_requests_are_needed_than_over_a_connection_each(
    layer: Layer,
) -> None:
    random = Random(2)
    requests = [ask(10, 8, 0.01, layer(by_chance(random, 10))).requests for _ in range(50)]
    assert mean(requests) == pytest.approx(8 * connections(10), rel=0.05)


def test_a_server_that_closes_some_connections_costs_some_requests() -> None:
    random = Random(3)
    asked = [ask(10, 8, 0.01, layer_4(by_chance(random, 10), lasts=5)) for _ in range(20)]
    assert all(one.complete for one in asked)
    assert mean(one.requests for one in asked) < 4 * connections(10)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("lasts", [1, 2, 3, 8, inf])
def test_replicas_in_turn_need_hardly_more_requests_than_there_are_pairs(count: int, lasts: float) -> None:
    for balancer in (
        layer_4(cycle(replicas(count)).__next__, lasts=lasts),
        layer_7(cycle(replicas(count)).__next__),
    ):
        assert ask(count, 8, 0.1, balancer).requests <= count * 8 + 8


def test_the_question_that_most_replicas_lack_comes_next() -> None:
    coverage = Coverage(frozenset({"a", "b"}), 2, PATIENCE, 0)
    coverage.answered("a", 0, 1)
    assert (coverage.wanted, coverage.lacking(0), coverage.lacking(1)) == (1, ["b"], ["a", "b"])


@LAYERS
@pytest.mark.parametrize("others", [3, 30])
def test_replicas_that_came_since_take_connections_and_fail_no_proof(layer: Layer, others: int) -> None:
    random = Random(others)
    names = [*replicas(3), *(f"new-{number}" for number in range(others))]
    assert all(ask(3, 8, 0.5, layer(lambda: random.choice(names))).complete for _ in range(20))


@LAYERS
def test_a_replica_that_gets_no_connection_ends_the_asking_after_enough_choices(
    layer: Layer,
) -> None:
    random = Random(1)
    asked = ask(10, 8, 1.0, layer(by_chance(random, 9)))
    assert not asked.complete
    assert asked.coverage.lacking(0) == ["app-9"]
    assert enough(10, 8) < asked.coverage.choices <= asked.requests


def test_quick_answers_alone_do_not_end_it_before_half_a_minute() -> None:
    asked = ask(2, 1, 0.001, layer_4(lambda: "app-0"))
    assert asked.seconds == pytest.approx(PATIENCE, abs=0.1)
    assert asked.requests > enough(2, 1)


def test_no_answer_at_all_ends_it_after_half_a_minute_whatever_is_to_be_asked() -> None:
    asked = ask(50, 8, 0.2, layer_4(lambda: None))
    assert asked.seconds == pytest.approx(PATIENCE, abs=0.3)


def test_answers_that_are_slower_than_that_are_waited_for() -> None:
    random = Random(3)
    assert ask(10, 2, 9.0, layer_4(by_chance(random, 10))).complete


def test_an_old_replica_that_stays_ends_it_where_the_new_ones_get_nothing() -> None:
    asked = ask(2, 1, 1.0, layer_4(lambda: "old-1"))
    assert (asked.complete, asked.coverage.met) == (False, {"old-1"})


def test_one_replica_that_gives_all_answers_is_named_where_there_are_others() -> None:
    assert ask(3, 1, 0.1, layer_4(lambda: "app-1")).coverage.only_one == "app-1"
    assert ask(1, 1, 0.1, layer_4(lambda: "app-0")).coverage.only_one == ""
    few = Coverage(frozenset(replicas(2)), 1, PATIENCE, 0)
    few.answered("app-0", 0, 1)
    assert few.only_one == ""


def test_more_replicas_or_more_questions_need_more_answers_before_it_is_given_up() -> None:
    assert enough(3, 8) < enough(3, 100) < enough(10, 100) < enough(50, 100)
