"""The git remote: what it lists, and what answers in its place."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from flows.core.errors import CommandFailed, CredentialsRefused, RefNotFound, SlipwayError, SourceUnavailable
from flows.services.git.login import DeployKey, GitLogin, HttpLogin
from flows.services.git.refusals import NOT_GIT, answered, explained
from flows.services.process.command import Command, Say, run, silent
from flows.services.process.tls import authorities

PROTOCOLS = "file:http:https:ssh"
"""Protocols that git may use, whatever a URL or a redirect names."""

CONFIGURATION = {
    # by default an object may be empty after a power loss, which a fetch does not notice
    "core.fsync": "all",
    # refuses malformed objects, which may have been made to deceive their reader
    "fetch.fsckObjects": "true",
    # written by old programs, and harmless
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.badTimezone": "ignore",
}

HEAD_LINE = re.compile(r"^(?P<sha>[0-9a-f]{40,64})\trefs/heads/(?P<branch>[^\n]+)$", re.MULTILINE)
"""Of `git ls-remote --heads`."""

ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
"""What git's HTTP protocol answers to the first request (gitprotocol-http, "Smart Server Response")."""

QUESTION = "/info/refs?service=git-upload-pack"
MOVED = {301, 302, 303, 307, 308}

PROBE_TIMEOUT = 10


def git(
    arguments: tuple[str, ...],
    folder: Path,
    timeout: float,
    *,
    say: Say = silent,
    output: Say = silent,
    configuration: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What git wrote; `CommandFailed` as from `run`. It asks no person for a password."""
    if any("\0" in argument for argument in arguments):  # no program can be given one
        raise CommandFailed("git has no name with a NUL in it.", status=128)
    configuration = {**CONFIGURATION, **(configuration or {})}
    variables = {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        # else git uses a repository around the mirror, where that is damaged
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "GIT_ALLOW_PROTOCOL": PROTOCOLS,
        "GIT_CONFIG_COUNT": str(len(configuration)),
    }
    for number, (key, value) in enumerate(configuration.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    variables |= environment or {}
    return run(Command(("git", *arguments), timeout, variables, folder), say, output=output)


@dataclass(frozen=True)
class Remote:
    """A repository at a URL or path; `table` is that of slipway.toml which names it."""

    url: str
    login: GitLogin | None
    timeout: float
    table: str = "source"

    def ask(self, *arguments: str, folder: Path, say: Say = silent) -> str:
        """What git wrote, which signs in there; `say` also gets the new address of one that has moved.

        Errors as of `explained`; `CommandFailed` where nothing known is wrong with the remote.
        """
        try:
            return self._ask(arguments, folder, say)
        except CommandFailed as failure:
            if NOT_GIT in failure.details:
                raise self._answer().as_page(self) from failure
            if answered(failure) not in MOVED:
                raise explained(self.url, failure, self.table, self._if_refused) from failure
        address = self._answer().address_for(self)
        say(f"The repository {self.url} has moved to {address}: correct [{self.table}] repository.")
        try:
            return self._ask(arguments, folder, say, {f"url.{address}.insteadOf": self.url})
        except CommandFailed as failure:
            raise explained(address, failure, self.table, self._if_refused) from failure

    def _ask(
        self, arguments: tuple[str, ...], folder: Path, say: Say, more: Mapping[str, str] | None = None
    ) -> str:
        with self._signed_in() as (configuration, environment):
            configuration |= {"http.followRedirects": "false", **(more or {})}
            return git(
                arguments, folder, self.timeout, say=say, configuration=configuration, environment=environment
            )

    @property
    def _if_refused(self) -> str:
        return self.login.if_refused if isinstance(self.login, HttpLogin) else ""

    def heads(self, folder: Path) -> dict[str, str]:
        """Every branch and its newest commit, asked for from that folder; `RefNotFound` where it has none."""
        listed = self.ask("ls-remote", "--heads", "--end-of-options", self.url, folder=folder)
        found = {head["branch"]: head["sha"] for head in HEAD_LINE.finditer(listed)}
        if not found:
            raise self.without_branches()
        return found

    def without_branches(self) -> SlipwayError:
        """The error for a remote that lists no branch, where a page may have answered in its place."""
        try:
            self.require_git()
        except SourceUnavailable as page:
            return page
        return RefNotFound(
            f"The repository {self.url} has no branch.",
            f"Push the released branch, or correct [{self.table}] repository. The mirror stays as it was.",
        )

    def require_git(self) -> None:
        """`SourceUnavailable` where a page answers in place of git.

        git itself reads a page without a line break as an empty repository (remote-curl.c, parse_info_refs).
        """
        if self.url.startswith(("http://", "https://")):
            answer = self._answer()
            if answer.kind != ADVERTISEMENT:
                raise answer.as_page(self)

    def _answer(self) -> "_Answer":
        """What answers git's first request; `SourceUnavailable` where nothing does."""
        parts = urlsplit(self.url)
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        headers = {"Git-Protocol": "version=2", "Accept-Encoding": "identity"}
        if isinstance(self.login, HttpLogin):
            headers["Authorization"] = self.login.authorization()
        try:
            with (  # which sends the login to no other host
                httpx.Client(timeout=PROBE_TIMEOUT, verify=authorities(), follow_redirects=True) as client,
                client.stream("GET", f"{url}{QUESTION}", headers=headers) as answer,
            ):
                kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
                return _Answer(answer.status_code, kind, str(answer.url))
        except httpx.HTTPError as error:
            raise SourceUnavailable(
                f"The repository {self.url} could not be reached ({type(error).__name__}).",
                f"Check that its host is running and that [{self.table}] repository points to it.",
            ) from error

    @contextmanager
    def _signed_in(self) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
        """The configuration and the variables with which git signs in."""
        match self.login:
            case HttpLogin() as login:
                header = f"Authorization: {login.authorization()}"
                yield {f"http.{urljoin(self.url, '/')}.extraHeader": header}, {}
            case DeployKey() as key:
                with key.ssh() as command:
                    yield {}, {"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"}
            case None:
                yield {}, {}


@dataclass(frozen=True)
class _Answer:
    """To git's first request, at the end of all redirects."""

    status: int
    kind: str
    url: str

    def as_page(self, remote: Remote) -> SourceUnavailable:
        """The error: it is not git that answered."""
        return SourceUnavailable(
            f"In place of the repository {remote.url}, {urlsplit(self.url).hostname} answers with a page of "
            f"a proxy or a sign-in ({self.status}, {self.kind or 'of no type'}).",
            f"Check the login at [{remote.table}], the proxy, and [{remote.table}] repository. The mirror "
            "stays as it was.",
        )

    def address_for(self, remote: Remote) -> str:
        """Where a repository is that has moved; `CredentialsRefused` for another host if there is a login."""
        address = self.url.removesuffix(QUESTION)
        if address == self.url or (self.status == 200 and self.kind != ADVERTISEMENT):
            raise self.as_page(remote)
        if remote.login is not None and urljoin(address, "/") != urljoin(remote.url, "/"):
            raise CredentialsRefused(
                f"The repository {remote.url} has moved to {address}: another host or protocol, which gets "
                "no token.",
                f"If that is right, correct [{remote.table}] repository.",
            )
        return address
