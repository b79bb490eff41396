"""Against real git repositories, and a real web server that wants credentials."""

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.core.build.capsule import ContextFile
from flows.core.errors import (
    CommandFailed,
    CommitNotThere,
    CredentialsRefused,
    PermanentError,
    RefNotFound,
    SourceUnavailable,
)
from flows.services.git.repository import Repository, explained, unused_mirrors
from flows.services.process.command import silent


class Origin:
    """A repository that somebody commits to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.org")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, path: str, content: str, subject: str = "a change") -> str:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


@pytest.fixture
def repository(origin: Origin, tmp_path: Path) -> Repository:
    return Repository(str(origin.folder), tmp_path / "cache")


def test_head_a_branch_a_tag_and_a_short_sha_name_the_same_commit(
    origin: Origin, repository: Repository
) -> None:
    sha = origin.commit("app/a.py", "1", "Serve pictures")
    origin.git("tag", "v1")
    repository.fetch(silent)
    found = {repository.resolve(ref, "main").sha for ref in ("HEAD", "main", "v1", sha, sha[:8])}
    commit = repository.resolve("HEAD", "main")
    assert found == {sha}
    assert (commit.branch, commit.author, commit.subject) == ("main", "Ada", "Serve pictures")


def test_a_commit_of_two_branches_counts_as_the_released_ones(origin: Origin, repository: Repository) -> None:
    sha = origin.commit("a", "1")
    origin.git("branch", "aaa")
    repository.fetch(silent)
    assert repository.resolve(sha, "main").branch == "main"
    assert repository.resolve("aaa", "main").branch == "aaa"


def test_the_mirror_follows_new_commits_and_a_force_push(origin: Origin, repository: Repository) -> None:
    first = origin.commit("a", "1")
    second = origin.commit("a", "2")
    repository.fetch(silent)
    assert repository.is_ancestor(first, "refs/heads/main")
    origin.git("reset", "--quiet", "--hard", first)
    third = origin.commit("a", "3")
    repository.fetch(silent)
    assert repository.resolve("main", "main").sha == third
    assert not repository.is_ancestor(second, "refs/heads/main")
    assert not repository.is_ancestor("", "refs/heads/main")


def packed_refs_lock(mirror: Path) -> None:
    (mirror / "packed-refs.lock").touch()


def lock_of_main(mirror: Path) -> None:
    (mirror / "refs" / "heads" / "main.lock").touch()


def empty_ref(mirror: Path) -> None:
    (mirror / "refs" / "heads" / "main").write_bytes(b"")


def empty_head(mirror: Path) -> None:
    (mirror / "HEAD").write_bytes(b"")


def no_objects(mirror: Path) -> None:
    shutil.rmtree(mirror / "objects")


@pytest.mark.parametrize("harm", [lock_of_main, packed_refs_lock, empty_ref, empty_head, no_objects])
def test_a_mirror_that_a_git_was_cut_off_in_is_made_anew(
    origin: Origin, repository: Repository, harm: Callable[[Path], None]
) -> None:
    origin.commit("a", "1")
    origin.git("branch", "old")
    repository.fetch(silent)
    harm(repository.mirror)
    newest = origin.commit("a", "2")
    origin.git("branch", "--delete", "--force", "old")
    repository.fetch(silent)
    assert repository.resolve("main", "main").sha == newest
    repository.fetch(silent)
    assert sorted(path.name for path in repository.cache.iterdir()) == [
        repository.mirror.name,
        f"{repository.mirror.name}.lock",
    ]


def test_a_repository_around_a_damaged_mirror_is_left_alone(origin: Origin, tmp_path: Path) -> None:
    """As the checkout around its state folder."""
    origin.commit("a", "1")
    around = Origin(tmp_path / "around")
    around.commit("a", "1")
    around.git("branch", "ours")
    repository = Repository(str(origin.folder), around.folder / "cache")
    repository.fetch(silent)
    empty_head(repository.mirror)
    repository.fetch(silent)
    assert around.git("branch", "--format=%(refname:short)").split() == ["main", "ours"]


def test_a_mirror_stays_while_the_remote_is_away(origin: Origin, repository: Repository) -> None:
    sha = origin.commit("a", "1")
    repository.fetch(silent)
    lock_of_main(repository.mirror)
    moved = origin.folder.rename(origin.folder.with_name("moved"))
    with pytest.raises(RefNotFound, match="no git repository at"):
        repository.fetch(silent)
    assert repository.resolve("main", "main").sha == sha
    moved.rename(origin.folder)
    repository.fetch(silent)


def test_a_ref_that_does_not_exist_is_named(origin: Origin, repository: Repository) -> None:
    origin.commit("a", "1")
    repository.fetch(silent)
    for ref in ("nope", "--all", "0" * 40):
        with pytest.raises(RefNotFound, match=f"no branch, tag or commit '{ref}'"):
            repository.resolve(ref, "main")


def test_an_announced_commit_that_a_mirror_has_not_got_yet_is_worth_another_try(
    origin: Origin, repository: Repository
) -> None:
    sha = origin.commit("a", "1")
    origin.git("checkout", "--quiet", "--detach")
    announced = origin.commit("a", "2")
    origin.git("checkout", "--quiet", "main")
    repository.fetch(silent)
    with pytest.raises(CommitNotThere, match=f"has no commit {announced[:12]} yet"):
        repository.resolve(announced, "main", announced=True)
    origin.git("merge", "--quiet", "--ff-only", announced)
    repository.fetch(silent)
    assert repository.resolve(announced, "main", announced=True).sha != sha


@pytest.mark.parametrize("ref", ["mian", "abcdef0"])
def test_only_a_full_sha_can_be_one_that_is_yet_to_come(
    origin: Origin, repository: Repository, ref: str
) -> None:
    origin.commit("a", "1")
    repository.fetch(silent)
    with pytest.raises(RefNotFound):
        repository.resolve(ref, "main", announced=True)


def test_a_remote_whose_head_names_no_branch_is_fetched_and_head_is_the_released_branch(
    origin: Origin, tmp_path: Path
) -> None:
    """As `git init --bare` makes it, where its default branch is another than the one that is pushed."""
    bare = tmp_path / "bare.git"
    origin.git("init", "--quiet", "--bare", "--initial-branch=master", str(bare))
    repository = Repository(str(bare), tmp_path / "cache")
    repository.fetch(silent)
    with pytest.raises(RefNotFound):
        repository.resolve("HEAD", "main")
    sha = origin.commit("a", "1")
    origin.git("push", "--quiet", str(bare), "main")
    repository.fetch(silent)
    assert repository.resolve("main", "main").sha == sha
    assert repository.resolve("HEAD", "main").sha == sha


def test_a_head_that_names_no_branch_any_more_is_not_remembered(
    origin: Origin, repository: Repository
) -> None:
    origin.commit("a", "1")
    origin.git("branch", "old")
    origin.git("symbolic-ref", "HEAD", "refs/heads/old")
    repository.fetch(silent)
    origin.git("symbolic-ref", "HEAD", "refs/heads/main")
    newest = origin.commit("a", "2")
    origin.git("symbolic-ref", "HEAD", "refs/heads/none")
    repository.fetch(silent)
    assert repository.resolve("HEAD", "main").sha == newest


def test_only_what_the_context_names_is_listed_and_laid_out(
    origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    origin.commit("README.md", "no part of it")
    sha = origin.commit("app/a.py", "print(1)\n")
    repository.fetch(silent)
    files = repository.files(sha, ("app",))
    folder = tmp_path / "context"
    repository.lay_out(sha, ("app",), folder)
    assert files == (ContextFile("app/a.py", "100644", origin.git("rev-parse", "HEAD:app/a.py")),)
    assert [path.name for path in folder.rglob("*")] == ["app", "a.py"]
    commit_time = int(origin.git("log", "-1", "--format=%ct"))
    assert (folder / "app/a.py").stat().st_mtime == commit_time


def test_a_path_that_the_commit_lacks_is_named(origin: Origin, repository: Repository) -> None:
    sha = origin.commit("app/a.py", "1")
    repository.fetch(silent)
    with pytest.raises(PermanentError, match="has no 'models', which belongs to the build context"):
        repository.files(sha, ("app", "models"))


def test_the_remotes_branches_are_told_as_they_are_now_without_a_fetch(
    origin: Origin, repository: Repository
) -> None:
    first = origin.commit("a", "1")
    origin.git("branch", "feature/a")
    assert repository.heads() == {"main": first, "feature/a": first}
    second = origin.commit("a", "2")
    origin.git("branch", "--delete", "--force", "feature/a")
    assert repository.heads() == {"main": second}
    assert not repository.mirror.exists()


def test_a_folder_without_a_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(RefNotFound, match="no git repository at"):
        Repository(str(tmp_path / "nowhere"), tmp_path / "cache").fetch(silent)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "fatal: unable to access 'https://h/a401/': The requested URL returned error: 503",
            SourceUnavailable,
        ),
        (
            "fatal: unable to access 'https://h:4030/a/': The requested URL returned error: 403",
            CredentialsRefused,
        ),
        ("fatal: unable to access 'https://h/a/': The requested URL returned error: 404", RefNotFound),
        ("git@h: Permission denied (publickey).", CredentialsRefused),
        ("fatal: bad object 4014034014034014034014034014034014034014", CommandFailed),
    ],
)
def test_what_git_says_is_read_from_its_status_not_from_names(said: str, kind: type[Exception]) -> None:
    assert (
        type(explained("https://h/a", CommandFailed("git fetch failed.", details=said, status=128))) is kind
    )


def test_a_remote_that_is_away_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="could not be reached"):
        Repository("http://127.0.0.1:9/team/app.git", tmp_path / "cache").fetch(silent)


@pytest.mark.parametrize("token", [None, "wrong-token"])
def test_a_private_url_says_that_it_needs_credentials_and_where_to_put_them(
    private_url: str, tmp_path: Path, token: str | None
) -> None:
    told: list[str] = []
    with pytest.raises(CredentialsRefused, match=r"needs credentials.*\[source\] credentials") as refused:
        Repository(private_url, tmp_path / "cache", token).fetch(told.append)
    assert "wrong-token" not in f"{refused.value}{told}"


def test_a_mirror_is_unused_since_it_was_last_fetched_into(origin: Origin, tmp_path: Path) -> None:
    origin.commit("file", "content")
    repository = Repository(str(origin.folder), tmp_path / "cache")
    repository.fetch(silent)
    long_ago = datetime.now(UTC) - timedelta(days=30)
    lock = repository.mirror.with_name(f"{repository.mirror.name}.lock")
    os.utime(lock, (long_ago.timestamp(), long_ago.timestamp()))
    assert unused_mirrors(repository.cache, long_ago + timedelta(days=1)) == [repository.mirror]
    repository.fetch(silent)
    assert unused_mirrors(repository.cache, long_ago + timedelta(days=1)) == []
