"""The application's git repository: resolving a ref, listing and laying out its files."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from flows.core.build.capsule import ContextFile
from flows.core.build.commit import Commit
from flows.core.build.trust import Trust
from flows.core.errors import (
    CommandFailed,
    CommitNotThere,
    PermanentError,
    RefNotFound,
    SourceUnavailable,
)
from flows.core.text import one_line
from flows.services.git.blobs import Blobs, refuse_submodules
from flows.services.git.login import GitLogin
from flows.services.git.remote import Remote, git
from flows.services.process.command import Say
from flows.services.process.files import older_than

HEAD, INCOMING = "refs/slipway/HEAD", "refs/slipway/incoming"
FROM_REMOTE = (
    f"+refs/heads/*:{INCOMING}/heads/*",
    f"+refs/tags/*:{INCOMING}/tags/*",
    f"+HEAD*:{INCOMING}/HEAD*",
)
INTO_PLACE = (
    f"+{INCOMING}/heads/*:refs/heads/*",
    f"+{INCOMING}/tags/*:refs/tags/*",
    f"+{INCOMING}/HEAD*:{HEAD}*",
)
"""Refs arrive apart, and are put into place once it is sure that they are the repository's. HEAD is a
pattern, since it may name a branch that does not exist: without one, the fetch would fail."""
FETCH = ("fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")

FULL_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
LAYOUT = ("%H", "%an", "%cI", "%s")

OTHER_HASH = "mismatched algorithms: client sha1; server sha256"


@dataclass(frozen=True)
class Repository:
    """A git repository by URL or path, mirrored in `cache` so that a run fetches only what is new.

    The mirror is a cache and nothing more: it is made again where it is missing or damaged. `login` is for
    private URLs. `lock_wait` is how many seconds a fetch waits for another run's; -1: until that one ends.
    `table` is that of slipway.toml which names the repository.
    """

    url: str
    cache: Path
    login: GitLogin | None = None
    timeout: float = 300
    lock_wait: float = -1
    table: str = "source"

    @property
    def mirror(self) -> Path:
        """The bare repository behind the cache."""
        return self.cache / f"{hashlib.sha256(self.url.encode()).hexdigest()[:16]}.git"

    @property
    def remote(self) -> Remote:
        """Where it is mirrored from."""
        return Remote(self.url, self.login, self.timeout, self.table)

    def fetch(self, say: Say) -> None:
        """Bring the mirror up to date: all branches and tags, and the remote's HEAD if it names any.

        `SourceUnavailable` where the remote can't be reached or a page answers in its place,
        `CredentialsRefused` where it says no, and `RefNotFound` where there is no repository, or where it has
        no branch any more: then the mirror stays as it was. If the remote is in order, the mirror is made
        again: a git that was cut off, as by a power loss, leaves lock files and halves of files in there.
        `CommandFailed` where that fails too.
        """
        with self._alone():
            try:
                self._fetch_into(self.mirror, say)
            except CommandFailed as failure:
                self._require_remote(failure)
                say(f"The mirror of {self.url} is made again, because it may be damaged: {failure.details}")
                self._make_again(say)

    def _require_remote(self, failure: CommandFailed) -> None:
        """The failure, or what explains it, where the remote answers no question without a mirror."""
        try:
            self.remote.heads(self.cache)
        except CommandFailed:
            raise failure from None

    def _fetch_into(self, mirror: Path, say: Say) -> None:
        if not (mirror / "HEAD").exists():
            self._git("init", "--quiet", "--bare", str(mirror), folder=self.cache)
        try:
            self._fetch_as(mirror, say)
        except SourceUnavailable as failure:
            cause = failure.__cause__
            if isinstance(cause, CommandFailed) and cause.timed_out and not self._has(mirror, "refs"):
                raise self._too_slow(cause) from cause
            raise
        if not self._has(mirror, f"{INCOMING}/heads"):
            if self._has(mirror, "refs/heads"):
                raise self.remote.without_branches()
            self.remote.require_git()
        self._git(*FETCH, "--end-of-options", ".", *INTO_PLACE, folder=mirror)

    def _has(self, mirror: Path, refs: str) -> bool:
        """Whether the mirror has any ref below that."""
        return bool(self._git("for-each-ref", "--count=1", refs, folder=mirror))

    def _too_slow(self, failure: CommandFailed) -> SourceUnavailable:
        """Of a first fetch, which leaves nothing for the next one to build on."""
        return SourceUnavailable(
            f"The first mirror of {self.url} was not complete within {self.timeout:g} s.",
            "Raise `[source] fetch_timeout`: each try begins from nothing. If it is large enough, check the "
            "network to its host.",
            details=failure.details,
        )

    def _fetch_as(self, mirror: Path, say: Say) -> None:
        """Fetch with the remote's hash function: a mirror has one for good."""
        fetch = (*FETCH, "--update-shallow", "--end-of-options", self.url, *FROM_REMOTE)
        try:
            self.remote.ask(*fetch, folder=mirror, say=say)
        except CommandFailed as failure:
            if OTHER_HASH not in failure.details:
                raise
            shutil.rmtree(mirror)
            init = ("init", "--quiet", "--bare", "--object-format=sha256")
            self._git(*init, str(mirror), folder=self.cache)
            self.remote.ask(*fetch, folder=mirror, say=say)

    def _make_again(self, say: Say) -> None:
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
        return self.remote.heads(self.cache)

    def resolve(self, ref: str, released_branch: str, *, announced: str = "") -> Commit:
        """The commit that a branch, a tag, a (short) SHA or HEAD names; `RefNotFound` where there is none.

        A HEAD that names no branch stands for the released one. A full SHA that was pushed to the `announced`
        branch exists somewhere: `CommitNotThere` where the remote, or that branch, has not got it yet.
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
                "If a force-push has replaced the commit, do nothing.",
            )
        if sha is None and FULL_SHA.fullmatch(ref):
            raise RefNotFound(
                f"{self.url} has no commit {ref[:12]}: it was not pushed, or a force-push has replaced it.",
                "Name the branch, or a commit that is on it now.",
            )
        if sha is None:
            raise RefNotFound(
                f"{self.url} has no branch, tag or commit {ref!r}.",
                "Check its spelling, and that it was pushed.",
            )
        _, author, time, subject = self._git(
            "log", "-1", f"--format={'%x00'.join(LAYOUT)}", "--end-of-options", sha
        ).split("\0")
        branches = self._branches_with(sha)
        if announced and announced not in branches:
            raise CommitNotThere(
                f"{self.url} has no branch {announced!r} with commit {sha[:12]}, though it was announced.",
                "If the repository is a mirror, wait: the poller restarts this once the branch has arrived. "
                "If the branch was deleted or overwritten, do nothing.",
            )
        wanted = (announced or ref.removeprefix("refs/heads/"), released_branch, *branches)
        on = next((name for name in wanted if name in branches), "")
        trust = Trust.RELEASED if released_branch in branches else Trust.BRANCH
        moment = datetime.fromisoformat(time)
        return Commit(self.url, sha, on, one_line(author), moment, one_line(subject), trust)

    def _sha(self, name: str) -> str | None:
        """The commit that the mirror has under the name."""
        try:
            return self._git(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
            ).strip()
        except CommandFailed:
            return None

    def _branches_with(self, sha: str) -> list[str]:
        """The branches that contain the commit."""
        listed = self._git("for-each-ref", "--format=%(refname:lstrip=2)", f"--contains={sha}", "refs/heads")
        return [name for name in listed.split("\n") if name]  # a name may hold U+2028, and what it parts

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `older` is `newer` or comes before it; False where the mirror has either no more."""
        try:
            self._git("merge-base", "--is-ancestor", "--end-of-options", older, newer)
        except CommandFailed as answer:
            if answer.status in {1, 128}:
                return False
            raise
        return True

    def is_on_branch(self, sha: str, branch: str) -> bool:
        """Whether the branch has that commit, as of the last fetch; False where the mirror knows neither."""
        if not FULL_SHA.fullmatch(sha) or not (self.mirror / "HEAD").exists():
            return False
        return self.is_ancestor(sha, f"refs/heads/{branch}")

    def between(self, older: str, newer: str) -> list[str] | None:
        """The commits of `newer` that `older` lacks, newest first: short SHA, subject, author.

        None where the mirror lacks one of the two, as after a force-push.
        """
        try:
            log = self._git("log", "-z", "--format=%h %s (%an)", "--end-of-options", f"{older}..{newer}")
        except CommandFailed as answer:
            if answer.status == 128:
                return None
            raise
        return [one_line(commit) for commit in log.split("\0") if commit]

    def files(self, sha: str, paths: tuple[str, ...]) -> tuple[ContextFile, ...]:
        """The files at and below `paths` in that commit; `PermanentError` where a path holds none, or a
        submodule."""
        files = self._listed(sha, "--", *paths)
        for path in paths:
            if not any(file.path == path or file.path.startswith(path.rstrip("/") + "/") for file in files):
                raise PermanentError(
                    f"Commit {sha[:7]} has no {path!r}, which belongs to the build context.",
                    "Commit it, or take it out of `context` under [app] in slipway.toml.",
                )
        refuse_submodules(files)
        return files

    def folder_tree(self, sha: str, folder: str) -> str | None:
        """The id of a folder of that commit ("." is its root); None where it has no such folder."""
        path = "" if folder == "." else folder
        try:
            found = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{sha}:{path}").strip()
        except CommandFailed as answer:
            if answer.status in {1, 128}:
                return None
            raise
        return found if self.has_tree(found) else None

    def has_tree(self, tree: str) -> bool:
        """Whether the mirror has a folder of that id."""
        if not FULL_SHA.fullmatch(tree) or not (self.mirror / "HEAD").exists():
            return False
        try:
            return self._git("cat-file", "-t", tree).strip() == "tree"
        except CommandFailed as answer:
            if answer.status in {1, 128}:
                return False
            raise

    def files_of(self, tree: str) -> tuple[ContextFile, ...]:
        """The files below the folder of that id; `PermanentError` where one is a submodule."""
        files = self._listed(tree)
        refuse_submodules(files)
        return files

    def _listed(self, *of: str) -> tuple[ContextFile, ...]:
        """All files of a commit or a folder; `of` are arguments of `git ls-tree`."""
        listing = self._git("ls-tree", "-r", "-z", "--end-of-options", *of)
        entries = [entry.split(None, 3) for entry in listing.split("\0") if entry]
        return tuple(ContextFile(path, mode, blob) for mode, _, blob, path in entries)

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
        try:
            held = FileLock(lock).acquire(self.lock_wait)
        except Timeout as busy:
            raise SourceUnavailable(
                f"Another run on this machine is fetching {self.url}.", "Wait until it has ended."
            ) from busy
        with held:
            lock.touch()  # `unused_mirrors` goes by its time
            yield

    def _git(self, *arguments: str, folder: Path | None = None) -> str:
        return git(arguments, folder or self.mirror, self.timeout)


def unused_mirrors(cache: Path, since: datetime) -> list[Path]:
    """The mirrors that no run has fetched into since then: each fetch touches its lock."""
    locks = older_than(cache.glob("*.git.lock"), since)
    return [mirror for lock in locks if (mirror := lock.with_suffix("")).is_dir()]
