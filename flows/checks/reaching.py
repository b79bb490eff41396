"""Whether a system answers this machine, through which proxy, and what time it has."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from flows.checks.check import CheckFailed
from flows.services.process import bounded
from flows.services.process.bounded import Bounds, TooLarge
from flows.services.process.network_faults import permanent_fault, through_proxy
from flows.services.process.tls import authorities

BOUNDS = Bounds(1 << 20, 8)
TIMEOUT = httpx.Timeout(5, connect=3)
"""For one answer, whatever it says."""

PROXY_WANTS_A_LOGIN = "Proxy Authentication Required"
"""RFC 9110, section 15.5.8."""

ClockOffsets = MutableMapping[str, timedelta]
"""By how much this machine's clock is ahead of a system's, by the name of the system that answered."""


def route(url: str) -> str:
    """How requests to that address go: "directly", or through which proxy, without its password."""
    return through_proxy(url).strip() or "directly"


def answers(url: str, name: str, offsets: ClockOffsets) -> str:
    """The sentence of a server that answers at that address, whatever it answers.

    The time of the answer goes into `offsets`.
    `CheckFailed` where it does not; `SettingsError` for what [network] has to mend.
    """
    with bounded.client(timeout=TIMEOUT, verify=authorities()) as client, _translated(url, name):
        asked = datetime.now(UTC)
        answer = bounded.ask(client, "GET", url, BOUNDS)
        note_offset(answer.headers.get("date"), name, asked, offsets)
    if answer.status_code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED and (
        fault := permanent_fault(name, url, PROXY_WANTS_A_LOGIN)
    ):
        raise fault
    return f"{url} answers {answer.status_code}, {route(url)}."


@contextmanager
def _translated(url: str, name: str) -> Iterator[None]:
    """The errors of a server that can't be reached, with what to check."""
    try:
        yield
    except TooLarge as error:
        raise CheckFailed(
            f"{url} answers with more than {BOUNDS.size} bytes.", "Check the address: this is another server."
        ) from error
    except httpx.InvalidURL as error:
        raise CheckFailed(f"{url} is no address.", "Correct it in slipway.toml, or in the block.") from error
    except httpx.TransportError as error:
        said, taken = str(error) or type(error).__name__, route(url)
        if fault := permanent_fault(name, url, said):
            raise fault from error
        what = "that it runs" if taken == "directly" else "that the proxy runs and lets this host through"
        raise CheckFailed(
            f"{url} could not be reached {taken}: {said}.",
            f"Check {what}, that the address is right, and that this machine reaches it.",
        ) from error


def note_offset(date: str | None, name: str, asked: datetime, offsets: ClockOffsets) -> None:
    """Put into `offsets` by how much this machine's clock is ahead of an answer's Date, if it has one.

    The server wrote the Date between `asked` and now, in whole seconds.
    """
    try:
        theirs = parsedate_to_datetime(date or "").replace(tzinfo=UTC)
    except ValueError:
        return
    now = datetime.now(UTC)
    if theirs < asked:
        offsets[name] = max(asked - theirs - timedelta(seconds=1), timedelta())
    else:
        offsets[name] = -max(theirs - now, timedelta())
