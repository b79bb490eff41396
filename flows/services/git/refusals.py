"""Why git got nothing from a repository: the error for its words says who has to act, and what to do."""

import re
from urllib.parse import urlsplit

from flows.core.errors import (
    CommandFailed,
    CredentialsRefused,
    PermanentError,
    RefNotFound,
    SlipwayError,
    SourceUnavailable,
)
from flows.services.process.network_faults import permanent_fault

ANSWERED = re.compile(r"requested URL returned error: (\d{3})")
CONNECTED = re.compile(r"Failed to connect to (\S+) port (\d+)")
PRESENTED = re.compile(r"^(?:No (\S+) host key is known|The fingerprint for the (\S+) key)", re.MULTILINE)
USUAL_PORTS = {"http": 80, "https": 443}

NOT_GIT = "not valid: is this a git repository"
"""A page with more than one line, in place of git's answer."""

BY_PROXY = re.compile(r"(?:tunnel failed, response|Received HTTP code) (5\d\d)")
CHANGED_KEY, UNKNOWN_KEY = "REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed"
REFUSED_KEY = "Permission denied (publickey"
REFUSED = (
    "could not read Username",
    "Authentication failed",
    "terminal prompts disabled",
    "Permission denied",
)
DUBIOUS = "detected dubious ownership"
FULL = "No space left on device"
MISSING = ("not found", "does not appear to be a git repository", "does not exist")
UNREACHABLE = (
    *("Could not resolve", "Failed to connect", "Connection", "timed out", "early EOF", "RPC failed"),
    *("bad line length", "unexpected disconnect"),
)


def answered(failure: CommandFailed) -> int:
    """The HTTP status that git was answered, or 0; a number in a name is none."""
    found = ANSWERED.search(failure.details)
    return int(found[1]) if found else 0


def explained(url: str, failure: CommandFailed, table: str = "source", if_refused: str = "") -> SlipwayError:
    """Why git could not fetch from there; the failure itself where it says nothing known.

    `table` is that of slipway.toml which names the repository; `if_refused` says what to do where the host
    does not take the login, if that is no token of a block.
    """
    return (
        permanent_fault(f"the repository {url}", url, failure.details)
        or _of_proxy(url, failure)
        or _of_ssh(url, failure, table)
        or _of_login(url, failure, table, if_refused)
        or _of_content(url, failure)
        or _of_host(url, failure, table)
        or failure
    )


def _of_proxy(url: str, failure: CommandFailed) -> SlipwayError | None:
    said = failure.details
    if found := BY_PROXY.search(said):
        return SourceUnavailable(
            f"The proxy on the way to {url} makes no connection to that host: it answers {found[1]}.",
            "Check the proxy's log. If the host is reached without it, name it at [network] no_proxy.",
            details=said,
        )
    if proxy := _proxy_away(url, said):
        return SourceUnavailable(
            f"The proxy {proxy} on the way to {url} could not be reached.",
            "Check that it runs and that [network] proxy, or HTTPS_PROXY, names it.",
            details=said,
        )
    return None


def _proxy_away(url: str, said: str) -> str | None:
    """The proxy, if git tried to connect to another host than the URL's."""
    _, unresolved, proxy = said.partition("Could not resolve proxy: ")
    if unresolved:
        return proxy.split()[0]
    tried, parts = CONNECTED.search(said), urlsplit(url) if "://" in url else None
    if not tried or parts is None or parts.scheme not in USUAL_PORTS:
        return None
    own = (parts.hostname, str(parts.port or USUAL_PORTS[parts.scheme]))
    return None if (tried[1], tried[2]) == own else f"{tried[1]}:{tried[2]}"


def _of_ssh(url: str, failure: CommandFailed, table: str) -> SlipwayError | None:
    said = failure.details
    shown = PRESENTED.search(said)
    kind = f" ({shown[1] or shown[2]})" if shown else ""
    if CHANGED_KEY in said:
        return PermanentError(
            f"The host of {url} shows another key{kind} than the one at [{table}] known_hosts: another "
            "machine may be answering in its place.",
            "Ask its administrator whether the key was changed. Only then replace its line at "
            f"[{table}] known_hosts.",
            details=said,
        )
    if UNKNOWN_KEY in said:
        return PermanentError(
            f"No key{kind} of the host of {url} is known, so nothing proves that it is that host.",
            "Compare what `ssh-keyscan` prints with what the administrator publishes, and put the line "
            f"at [{table}] known_hosts. Without a deploy key, put it into ~/.ssh/known_hosts.",
            details=said,
        )
    if REFUSED_KEY in said:
        return CredentialsRefused(
            f"The host of {url} refuses the SSH key.",
            "Add its public half to the repository as a deploy key with read access, or correct the block at "
            f"[{table}] deploy_key.",
            details=said,
        )
    return None


def _of_login(url: str, failure: CommandFailed, table: str, if_refused: str) -> SlipwayError | None:
    status = answered(failure)
    if status == 403:
        return CredentialsRefused(
            f"The host of {url} knows the login, but does not let it read the repository (403).",
            if_refused
            or "Give the token read access to the repository, and authorize it for the organization's single "
            f"sign-on: [{table}] credentials.",
            details=failure.details,
        )
    if status == 401 or any(words in failure.details for words in REFUSED):
        return CredentialsRefused(
            f"The repository {url} needs credentials, or refuses those it was given.",
            if_refused
            or "Put a token with read access into a Prefect Secret block and name it in slipway.toml: "
            f"[{table}] credentials. A run by hand takes SLIPWAY_SOURCE_TOKEN.",
        )
    return None


def _of_content(url: str, failure: CommandFailed) -> SlipwayError | None:
    said = failure.details
    if DUBIOUS in said:
        return PermanentError(
            f"git does not read the repository {url}, as another user owns it.",
            f"Run Slipway as its owner, or allow it once: git config --global --add safe.directory {url}",
            details=said,
        )
    if "fsck error" in said:
        return PermanentError(
            f"The repository {url} holds an object that git's own check refuses; nothing of it was fetched.",
            "Run `git fsck` there, and have the commit that it names removed.",
            details=said,
        )
    if FULL in said:
        return PermanentError(
            f"The disk of this machine is full: {url} was not fetched.",
            "Free space where SLIPWAY_STATE is, or lower [housekeeping] cache.",
            details=said,
        )
    return None


def _of_host(url: str, failure: CommandFailed, table: str) -> SlipwayError | None:
    said, status = failure.details, answered(failure)
    if status == 429:
        return SourceUnavailable(
            f"The host of {url} takes no more requests for a while (429).",
            "Wait; if it happens often, raise [watch] interval.",
            details=said,
        )
    if status >= 500:
        return SourceUnavailable(
            f"The host of {url} has a problem of its own: it answers {status}.",
            "Check its status page, and wait.",
            details=said,
        )
    if failure.timed_out or any(words in said for words in UNREACHABLE):
        return SourceUnavailable(
            f"The repository {url} could not be reached.",
            f"Check that its host is running and that [{table}] repository points to it.",
            details=said,
        )
    if status == 404 or any(words in said for words in MISSING):
        return RefNotFound(
            f"There is no git repository at {url}, or its host does not show it to this login.",
            f"Check [{table}] repository: it may have been renamed. If it is private, check the login at "
            f"[{table}].",
            details=said,
        )
    return None
