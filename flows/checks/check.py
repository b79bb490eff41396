"""Runs checks in parallel: each gives one row, and a check that fails or hangs stops no other."""

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path

from flows.core.doctor.finding import Finding, not_checked
from flows.core.errors import SlipwayError
from flows.services.prefect.api import translated_prefect_errors

WITHIN = 15.0
"""Seconds for all checks together."""


class CheckWarning(Exception):
    """The row is a warning: what was seen works, but may stop working."""

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(seen)
        self.seen, self.remedy = seen, remedy


class CheckFailed(Exception):
    """The row has failed, for a reason for which no service has an error."""

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(seen)
        self.seen, self.remedy = seen, remedy


class CheckSkipped(Exception):
    """There is nothing to check; the text ends the sentence "Not checked, because"."""


@dataclass(frozen=True)
class Check:
    """One row. `look` returns its sentence if all is well. Otherwise it raises: a `SlipwayError` or
    `CheckFailed` fails the row, `CheckWarning` makes it a warning, and `CheckSkipped` leaves it unchecked.

    `look` is called after the rows that it `needs`, unless one of them failed or was not checked. It waits
    for the rows in `after`, too, whatever their state is. `tried` says what `look` does: "asked for its
    version".
    """

    subject: str
    tried: str
    look: Callable[[], str]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def run_all(checks: Sequence[Check], within: float = WITHIN) -> list[Finding]:
    """The rows of all checks, in their order, after `within` seconds at the latest.

    A check that has not answered by then has failed; its thread does not keep the process alive.
    """
    deadline = time.monotonic() + within
    rows: dict[str, Future[Finding]] = {check.subject: Future() for check in checks}
    for check in checks:
        threading.Thread(target=copy_context().run, args=(_settle, check, rows), daemon=True).start()
    return [_awaited(check, rows, deadline, within) for check in checks]


def _settle(check: Check, rows: Mapping[str, Future[Finding]]) -> None:
    for name in check.needs:
        if not rows[name].result().is_usable:
            finding = not_checked(check.subject, f"{name} is not in order", check.tried)
            break
    else:
        wait([rows[name] for name in check.after])
        finding = _checked(check)
    rows[check.subject].set_result(finding)


def _checked(check: Check) -> Finding:
    def failed(seen: str, remedy: str) -> Finding:
        return Finding(check.subject, "failed", seen, check.tried, remedy)

    try:
        with translated_prefect_errors():
            return Finding(check.subject, "ok", check.look(), check.tried)
    except SlipwayError as error:
        return failed(error.happened, error.remedy)
    except CheckFailed as found:
        return failed(found.seen, found.remedy)
    except CheckWarning as found:
        return Finding(check.subject, "warning", found.seen, check.tried, found.remedy)
    except CheckSkipped as found:
        return not_checked(check.subject, str(found), check.tried)
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
                return not_checked(check.subject, f"{name} took too long", check.tried)
        return Finding(
            check.subject,
            "failed",
            f"No answer came within {within:g} s.",
            check.tried,
            "Check that the system runs, and that firewalls and proxies let this machine reach it.",
        )
