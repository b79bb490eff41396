"""Checks side by side: each gives one row, and none breaks or holds up another."""

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path

from flows.core.doctor.finding import Finding, not_looked_at
from flows.core.errors import SlipwayError
from flows.services.prefect.api import translated_prefect_errors

WITHIN = 15.0
"""Seconds for all checks together."""


class Doubtful(Exception):
    """What was seen works, and a person should know of it."""

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(seen)
        self.seen, self.remedy = seen, remedy


class Failing(Exception):
    """What was seen does not work, where no service has an error for it."""

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(seen)
        self.seen, self.remedy = seen, remedy


class NotLookedAt(Exception):
    """The check has nothing to look at; the text says because of what."""


@dataclass(frozen=True)
class Check:
    """`look` gives the sentence of a row where all is well, or raises: a `SlipwayError` and `Failing` fail
    the row, `Doubtful` makes it a warning. It is called when the rows that it `needs` are there, and not
    where one of them is not in order; it waits for those in `after` whatever they are. `tried` says what it
    does.
    """

    subject: str
    tried: str
    look: Callable[[], str]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def run_all(checks: Sequence[Check], within: float = WITHIN) -> list[Finding]:
    """The rows of all checks, in their order, after `within` seconds at the latest.

    What has not answered by then is given up: its threads do not keep the process alive.
    """
    deadline = time.monotonic() + within
    rows: dict[str, Future[Finding]] = {check.subject: Future() for check in checks}
    for check in checks:
        threading.Thread(target=copy_context().run, args=(_settle, check, rows), daemon=True).start()
    return [_awaited(check, rows, deadline, within) for check in checks]


def _settle(check: Check, rows: Mapping[str, Future[Finding]]) -> None:
    for name in check.needs:
        if not rows[name].result().is_usable:
            finding = not_looked_at(check.subject, f"{name} is not in order", check.tried)
            break
    else:
        wait([rows[name] for name in check.after])
        finding = _looked(check)
    rows[check.subject].set_result(finding)


def _looked(check: Check) -> Finding:
    def failed(seen: str, remedy: str) -> Finding:
        return Finding(check.subject, "failed", seen, check.tried, remedy)

    try:
        with translated_prefect_errors():
            return Finding(check.subject, "ok", check.look(), check.tried)
    except SlipwayError as error:
        return failed(error.happened, error.remedy)
    except Failing as found:
        return failed(found.seen, found.remedy)
    except Doubtful as found:
        return Finding(check.subject, "warning", found.seen, check.tried, found.remedy)
    except NotLookedAt as found:
        return not_looked_at(check.subject, str(found), check.tried)
    except OSError as error:
        return failed(f"{error}.", "Correct what is named, or its rights on this machine.")
    except Exception as error:  # its text may quote a secret
        where = traceback.extract_tb(error.__traceback__)[-1]
        return failed(
            f"This check broke off: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}.",
            "Check the system by hand, and report this as a fault of Slipway.",
        )


def _awaited(check: Check, rows: Mapping[str, Future[Finding]], deadline: float, within: float) -> Finding:
    try:
        return rows[check.subject].result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        for name in (*check.needs, *check.after):
            if not rows[name].done():
                return not_looked_at(check.subject, f"{name} took too long", check.tried)
        return Finding(
            check.subject,
            "failed",
            f"It took longer than {within:g} s.",
            check.tried,
            "Check that the system runs, and that firewalls and proxies let this machine reach it.",
        )
