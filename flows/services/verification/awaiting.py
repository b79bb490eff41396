"""Waiting until users get through to the replicas: what a release creates is there minutes later."""

from collections.abc import Callable
from datetime import timedelta

from flows.core.errors import EdgeNotInOrder, SlipwayError, TransientError
from flows.services.process.command import Say
from flows.services.process.poll import Waiting, poll
from flows.services.verification import probe
from flows.services.verification.public_endpoint import PublicEndpoint

POLL = 1.0
"""Seconds between two looks."""

NOW = timedelta()
"""How much longer a certificate must be valid: one that ends soon undoes no release."""


def await_endpoint(
    endpoint: PublicEndpoint,
    reported: Callable[[], tuple[str, ...]],
    timeout: float,
    say: Say,
    alive: Callable[[], None],
    *,
    replica: bool,
) -> None:
    """Return when name, load balancer and certificate are in order and, with `replica`, a replica answers.

    `reported` asks for the load balancer's addresses, which a Service has once it is made. What is missing is
    logged when it changes; after `timeout` seconds it is raised, as `EdgeNotInOrder` or as the error of the
    system that does not answer. `alive` is called at each look, and may raise.
    """
    problems: list[SlipwayError] = []
    lines: list[str] = []

    def look() -> bool | Waiting:
        alive()
        lines.clear()
        try:
            endpoint.require_in_order(reported(), lines.append, valid_for=NOW)
            if replica:
                probe.require_replica(endpoint)
        except (EdgeNotInOrder, TransientError) as problem:
            problems[:] = [problem]
            return Waiting(problem.happened)
        return True

    poll(look, timeout=timeout, pause=POLL, late=lambda _: _late(problems[0], timeout), on_change=say)
    for line in lines:
        say(line)


def _late(problem: SlipwayError, timeout: float) -> SlipwayError:
    """The problem, with the seconds that the wait took."""
    if not isinstance(problem, EdgeNotInOrder):
        return problem
    return EdgeNotInOrder(
        f"{problem.happened.rstrip('.')}, {timeout:g} s after the rollout.",
        f"{problem.remedy} If it only needs longer, raise `endpoint_timeout`.",
        details=problem.details,
        finding=problem.finding,
    )
