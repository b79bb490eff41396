"""The application's git repository: resolving a ref, listing and laying out its files."""

import base64
import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urljoin

from filelock import FileLock

from flows.core.build.capsule import ContextFile
from flows.core.build.commit import Commit
from flows.core.errors import (
    CommandFailed,
    CommitNotThere,
    CredentialsRefused,
    PermanentError,
    RefNotFound,
    SlipwayError,
    SourceUnavailable,
)
from flows.services.git.blobs import Blobs, refuse_submodules
from flows.services.process.command import Command, Say, run, silent
from flows.services.process.files import older_than

HEAD = "refs/slipway/HEAD"
REFSPECS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", f"+HEAD*:{HEAD}*")
"""HEAD as a pattern, since it need not name a branch that there is; git wants what is named in full."""
FETCH = ("--quiet", "--prune", "--no-write-fetch-head", "--no-recurse-submodules", "--update-shallow")
PROTOCOLS = "file:http:https:ssh"
"""Those that git may use, whatever a URL or a redirect names."""

CONFIGURATION = {
    # by default an object may be empty after a power loss, which a fetch does not notice
    "core.fsync": "all",
    # no object that could have been made to deceive who reads it
    "fetch.fsckObjects": "true",
    # what programs of long ago wrote, and is harmless
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.badTimezone": "ignore",
}

FULL_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
LAYOUT = ("%H", "%an", "%cI", "%s")

ANSWERED = re.compile(r"requested URL returned error: (\d{3})")
REFUSED = (
    "could not read Username",
    "Authentication failed",
    "terminal prompts disabled",
    "Permission denied",
)
DUBIOUS = "detected dubious ownership"
OTHER_HASH = "mismatched algorithms: client sha1; server sha256"
MISSING = ("not found", "does not appear to be a git repository", "does not exist")
UNREACHABLE = ("Could not resolve", "Failed to connect", "Connection", "timed out", "early EOF", "RPC failed")


@dataclass(frozen=True)
class Repository:
    """A git repository by URL or path, mirrored in `cache` so that a run fetches only what is new.

    The mirror is a cache and nothing more: it is made again where it is missing, or where git can do nothing
    with it. `token` is for private URLs.
    """

    url: str
    cache: Path
    token: str | None = field(default=None, repr=False)
    timeout: float = 300

    @property
    def mirror(self) -> Path:
        """The bare repository behind the cache."""
        return self.cache / f"{hashlib.sha256(self.url.encode()).hexdigest()[:16]}.git"

    def fetch(self, say: Say) -> None:
        """Bring the mirror up to date: all branches and tags, and the remote's HEAD if it names any.

        `SourceUnavailable` where the remote can't be reached, `CredentialsRefused` where it says no,
        `RefNotFound` where there is no repository, and `CommandFailed` where it is neither of these, nor the
        mirror: a git that was cut off, as by a power loss, leaves lock files and halves of files in there.
        """
        with self._alone():
            try:
                self._fetch_into(self.mirror, say)
            except CommandFailed as failure:
                say(f"The mirror of {self.url} is made again, because it may be damaged: {failure.details}")
                self._make_anew(say)

    def _fetch_into(self, mirror: Path, say: Say) -> None:
        if not (mirror / "HEAD").exists():
            self._git("init", "--quiet", "--bare", str(mirror), folder=self.cache)
        try:
            self._fetch_as(mirror, say)
        except CommandFailed as failure:
            raise explained(self.url, failure) from failure

    def _fetch_as(self, mirror: Path, say: Say) -> None:
        """Fetch with the remote's hash function: a mirror has one for good."""
        fetch = ("fetch", *FETCH, "--end-of-options", self.url, *REFSPECS)
        try:
            self._git(*fetch, folder=mirror, say=say)
        except CommandFailed as failure:
            if OTHER_HASH not in failure.details:
                raise
            shutil.rmtree(mirror)
            init = ("init", "--quiet", "--bare", "--object-format=sha256")
            self._git(*init, str(mirror), folder=self.cache)
            self._git(*fetch, folder=mirror, say=say)

    def _make_anew(self, say: Say) -> None:
        """Put a new mirror in the place of the old one, once it is whole: other runs may be reading there."""
        new, old = self.mirror.with_suffix(".new"), self.mirror.with_suffix(".old")
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
        self._fetch_into(new, say)
        self.mirror.rename(old)
        new.rename(self.mirror)
        shutil.rmtree(old)

    def heads(self) -> dict[str, str]:
        """Every branch of the remote and its newest commit, as the remote says now; raises as `fetch`."""
        self.cache.mkdir(parents=True, exist_ok=True)
        try:
            listed = self._git("ls-remote", "--heads", "--end-of-options", self.url, folder=self.cache)
        except CommandFailed as failure:
            raise explained(self.url, failure) from failure
        pairs = (line.split("\t") for line in listed.splitlines())
        return {ref.removeprefix("refs/heads/"): sha for sha, ref in pairs}

    def resolve(self, ref: str, released_branch: str, *, announced: bool = False) -> Commit:
        """The commit that a branch, a tag, a (short) SHA or HEAD names; `RefNotFound` where there is none.

        A HEAD that names no branch stands for the released one. A full SHA that was `announced` exists
        somewhere: `CommitNotThere` where the remote has not got it yet.
        """
        sha = self._sha(HEAD if ref == "HEAD" else ref)
        branch, tag = (self._sha(f"refs/{kind}/{ref}") for kind in ("heads", "tags"))
        if branch and tag and branch != tag and not FULL_SHA.fullmatch(ref):
            raise PermanentError(
                f"{self.url} has a branch and a tag {ref!r}, with different commits.",
                f"Name refs/heads/{ref} or refs/tags/{ref}.",
            )
        if sha is None and ref == "HEAD":
            sha = self._sha(f"refs/heads/{released_branch}")
        if sha is None and announced and FULL_SHA.fullmatch(ref):
            raise CommitNotThere(
                f"{self.url} has no commit {ref[:12]} yet, though it was announced.",
                "If the repository is a mirror, wait: the poller restarts this once the commit has arrived. "
                "It never will have what was overwritten by a force-push.",
            )
        if sha is None:
            raise RefNotFound(
                f"{self.url} has no branch, tag or commit {ref!r}.",
                "Check its spelling, and that it was pushed.",
            )
        _, author, time, subject = self._git(
            "log", "-1", f"--format={'%x00'.join(LAYOUT)}", "--end-of-options", sha
        ).split("\0")
        on = self._branch_of(ref.removeprefix("refs/heads/"), sha, released_branch)
        return Commit(self.url, sha, on, author, datetime.fromisoformat(time), subject)

    def _sha(self, name: str) -> str | None:
        """The commit that the mirror has under the name."""
        try:
            return self._git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
            ).strip()
        except CommandFailed:
            return None

    def _branch_of(self, ref: str, sha: str, released_branch: str) -> str:
        listed = self._git("for-each-ref", "--format=%(refname:lstrip=2)", f"--contains={sha}", "refs/heads")
        branches = listed.splitlines()
        first = [name for name in (ref, released_branch) if name in branches]
        return (first or branches or [""])[0]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `older` is `newer` or comes before it; False where the mirror has either no more."""
        try:
            self._git("merge-base", "--is-ancestor", "--end-of-options", older, newer)
        except CommandFailed as answer:
            if answer.status in {1, 128}:
                return False
            raise
        return True

    def between(self, older: str, newer: str) -> list[str]:
        """The commits of `newer` that `older` has not, newest first: short SHA, subject, author. None of them
        where the mirror has no such commit any more."""
        try:
            log = self._git("log", "--format=%h %s (%an)", "--end-of-options", f"{older}..{newer}")
        except CommandFailed as answer:
            if answer.status == 128:
                return []
            raise
        return log.splitlines()

    def files(self, sha: str, paths: tuple[str, ...]) -> tuple[ContextFile, ...]:
        """The files at and below `paths` in that commit; `PermanentError` where a path holds none, or a
        submodule."""
        listing = self._git("ls-tree", "-r", "-z", "--end-of-options", sha, "--", *paths)
        entries = [entry.split(None, 3) for entry in listing.split("\0") if entry]
        files = tuple(ContextFile(path, mode, blob) for mode, _, blob, path in entries)
        for path in paths:
            if not any(file.path == path or file.path.startswith(path.rstrip("/") + "/") for file in files):
                raise PermanentError(
                    f"Commit {sha[:7]} has no {path!r}, which belongs to the build context.",
                    "Commit it, or take it out of `context` under [app] in slipway.toml.",
                )
        refuse_submodules(files)
        return files

    def lay_out(self, files: Sequence[ContextFile], folder: Path, time: datetime) -> None:
        """Write exactly these files into `folder`, which must be empty, all with that time.

        `PermanentError` for a pointer of Git LFS, and for a tree that git would not make.
        """
        Blobs(self.mirror, self.timeout).write(files, folder, time.timestamp())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One fetch at a time: two runs share the mirror."""
        self.cache.mkdir(parents=True, exist_ok=True)
        lock = self.cache / f"{self.mirror.name}.lock"
        with FileLock(lock):
            lock.touch()  # `unused_mirrors` goes by its time
            yield

    def _git(self, *arguments: str, folder: Path | None = None, say: Say = silent) -> str:
        environment = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"}
        # where the mirror is damaged, git would take a repository around it for meant
        environment |= {"GIT_CEILING_DIRECTORIES": str(self.cache)}
        environment |= {"GIT_ALLOW_PROTOCOL": PROTOCOLS}
        configuration = dict(CONFIGURATION)
        if self.token:
            # Any user name will do beside a token, at GitHub as at Azure Repos.
            basic = base64.b64encode(f"slipway:{self.token}".encode()).decode()
            configuration[f"http.{urljoin(self.url, '/')}.extraHeader"] = f"Authorization: Basic {basic}"
        environment |= {"GIT_CONFIG_COUNT": str(len(configuration))}
        for number, (key, value) in enumerate(configuration.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return run(
            Command(("git", *arguments), self.timeout, environment, folder or self.mirror), say, output=silent
        )


def unused_mirrors(cache: Path, since: datetime) -> list[Path]:
    """The mirrors that no run has fetched into since then: each fetch touches its lock."""
    locks = older_than(cache.glob("*.git.lock"), since)
    return [mirror for lock in locks if (mirror := lock.with_suffix("")).is_dir()]


def explained(url: str, failure: CommandFailed) -> SlipwayError:
    """Why git could not fetch from there, and whose move it is; a number in a name is no status."""
    said = failure.details
    match = ANSWERED.search(said)
    answered = int(match[1]) if match else 0
    if answered in {401, 403} or any(word in said for word in REFUSED):
        return CredentialsRefused(
            f"The repository {url} needs credentials, or refuses those it was given.",
            "Put a token with read access into a Prefect Secret block and name it in slipway.toml: "
            "[source] credentials. A run by hand takes SLIPWAY_SOURCE_TOKEN.",
        )
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
    busy = answered == 429 or answered >= 500
    if busy or failure.timed_out or any(word in said for word in UNREACHABLE):
        return SourceUnavailable(
            f"The repository {url} could not be reached.",
            "Check that its host is running and that [source] repository points to it.",
            details=said,
        )
    if answered == 404 or any(word in said for word in MISSING):
        return RefNotFound(
            f"There is no git repository at {url}.", "Check [source] repository.", details=said
        )
    return failure
