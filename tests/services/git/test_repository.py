"""Against real git repositories, and a real web server that wants credentials."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from flows.core.build.capsule import ContextFile
from flows.core.build.trust import Trust
from flows.core.errors import (
    CommandFailed,
    CommitNotThere,
    CredentialsRefused,
    PermanentError,
    RefNotFound,
    SourceUnavailable,
)
from flows.core.trigger.branch_name import is_branch_name
from flows.services.git import blobs
from flows.services.git.login import HttpLogin
from flows.services.git.refusals import explained
from flows.services.git.repository import Repository, unused_mirrors
from flows.services.process.command import silent
from tests.support.laid_out import contents, lay_out
from tests.support.origin import Origin


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
def test_a_mirror_that_a_git_was_cut_off_in_is_made_again(
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
    for ref in ("nope", "--all", "0" * 30):
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
        repository.resolve(announced, "main", announced="main")
    origin.git("merge", "--quiet", "--ff-only", announced)
    repository.fetch(silent)
    assert repository.resolve(announced, "main", announced="main").sha != sha


@pytest.mark.parametrize("branch", ["never-there", "aside", "main\0x"])
def test_a_commit_that_was_announced_for_a_branch_without_it_is_of_no_other_branch(
    origin: Origin, repository: Repository, branch: str
) -> None:
    origin.commit("a", "1")
    origin.git("branch", "aside")
    newer = origin.commit("a", "2")
    repository.fetch(silent)
    with pytest.raises(CommitNotThere, match=r"has no branch .* with commit"):
        repository.resolve(newer, "main", announced=branch)


def test_a_branch_that_was_merged_and_deleted_is_not_taken_for_the_released_one(
    origin: Origin, repository: Repository
) -> None:
    origin.commit("a", "1")
    origin.git("switch", "--quiet", "--create", "feature")
    sha = origin.commit("a", "2")
    repository.fetch(silent)
    assert repository.resolve(sha, "main", announced="feature").branch == "feature"
    origin.git("switch", "--quiet", "main")
    origin.git("merge", "--quiet", "--ff-only", "feature")
    origin.git("branch", "--delete", "feature")
    repository.fetch(silent)
    with pytest.raises(CommitNotThere, match="has no branch 'feature'"):
        repository.resolve(sha, "main", announced="feature")


def test_only_what_is_on_the_released_branch_is_of_its_level_of_trust(
    origin: Origin, repository: Repository
) -> None:
    first = origin.commit("a", "1")
    origin.git("switch", "--quiet", "--create", "feature")
    second = origin.commit("a", "2")
    repository.fetch(silent)
    trust = {ref: repository.resolve(ref, "main").trust for ref in (first, "main", second, "feature")}
    assert trust == {
        first: Trust.RELEASED,
        "main": Trust.RELEASED,
        second: Trust.BRANCH,
        "feature": Trust.BRANCH,
    }
    assert repository.resolve(first, "main", announced="feature").trust is Trust.RELEASED
    assert repository.resolve("feature", "no-such-branch").trust is Trust.BRANCH
    origin.git("switch", "--quiet", "main")
    origin.git("merge", "--quiet", "--ff-only", "feature")
    repository.fetch(silent)
    assert repository.resolve("feature", "main").trust is Trust.RELEASED


@pytest.mark.parametrize("ref", ["mian\0", "\0", "--all\0"])
def test_a_name_with_a_nul_names_nothing(origin: Origin, repository: Repository, ref: str) -> None:
    sha = origin.commit("a", "1")
    repository.fetch(silent)
    with pytest.raises(RefNotFound):
        repository.resolve(ref, "main")
    assert repository.between(ref, sha) is None
    assert not repository.is_ancestor(ref, sha)


NAMES = [
    *("main", "feature/login", "a", "v1.2", "@", "@a", "a@b", "a{b}", "grün/ä", "a-", "bot/pip/x-1.2.3"),
    *("", "-a", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a..b", "a//b", "/a", "a/", "a b", "a~1", "HEAD"),
    *("a^", "a:b", "a?", "a*", "[a", "a\\b", "a@{1}", "a\x7f", "a\nb", "a\tb"),
]


@pytest.mark.parametrize("name", NAMES)
def test_branches_have_the_names_that_git_lets_them_have(name: str) -> None:
    git = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
    assert is_branch_name(name) == (git.returncode == 0 and git.stdout.decode().strip() == name)


@pytest.mark.parametrize("ref", ["mian", "abcdef0"])
def test_only_a_full_sha_can_be_one_that_is_yet_to_come(
    origin: Origin, repository: Repository, ref: str
) -> None:
    origin.commit("a", "1")
    repository.fetch(silent)
    with pytest.raises(RefNotFound):
        repository.resolve(ref, "main", announced="main")


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
    folder = lay_out(repository, sha, ("app",), tmp_path / "context")
    assert repository.files(sha, ("app",)) == (
        ContextFile("app/a.py", "100644", origin.git("rev-parse", "HEAD:app/a.py")),
    )
    assert [path.name for path in folder.rglob("*")] == ["app", "a.py"]
    commit_time = int(origin.git("log", "-1", "--format=%ct"))
    assert (folder / "app/a.py").stat().st_mtime == commit_time


def test_modes_links_and_large_and_odd_files_are_laid_out_as_they_are(
    origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    large = os.urandom(3 << 20)
    odd = "app/a name with\nall kinds ü of \t things"
    (origin.folder / "app" / "bin").mkdir(parents=True)
    (origin.folder / "app" / "large").write_bytes(large)
    (origin.folder / "app" / "empty").touch()
    (origin.folder / odd).write_bytes(b"\r\n\0")
    (origin.folder / "app" / "bin" / "run").write_text("#!/bin/sh\n")
    (origin.folder / "app" / "bin" / "run").chmod(0o755)
    (origin.folder / "app" / "link").symlink_to("../outside")
    sha = origin.commit("app/last", "1")
    before = os.umask(0o077)
    try:
        folder = lay_out(repository, sha, ("app",), tmp_path / "context")
    finally:
        os.umask(before)
    assert contents(folder) == {
        "app/large": large,
        "app/empty": b"",
        odd: b"\r\n\0",
        "app/bin/run": b"#!/bin/sh\n",
        "app/link": "../outside",
        "app/last": b"1",
    }
    modes = {path.name: path.lstat().st_mode & 0o777 for path in folder.rglob("*") if not path.is_symlink()}
    assert {modes.pop(name) for name in ("app", "bin", "run")} == {0o755}
    assert set(modes.values()) == {0o644}


def test_a_submodule_in_the_context_is_refused_by_its_path(origin: Origin, repository: Repository) -> None:
    first = origin.commit("app/a.py", "1")
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{first},app/lib")
    origin.git("commit", "--quiet", "--message", "a submodule")
    repository.fetch(silent)
    with pytest.raises(PermanentError, match="'app/lib' in the build context is a submodule"):
        repository.files(origin.git("rev-parse", "HEAD"), ("app",))


def test_a_pointer_of_lfs_is_refused_by_its_path(
    origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    sha = origin.commit("app/weights.bin", pointer)
    with pytest.raises(PermanentError, match=r"'app/weights\.bin' in the build context is a pointer of"):
        lay_out(repository, sha, ("app",), tmp_path / "context")


def test_a_context_that_unpacks_to_more_than_a_disk_holds_is_not_written(
    origin: Origin, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "LARGEST", 1000)
    origin.commit("app/a", "x" * 600)
    sha = origin.commit("app/b", "x" * 600)
    with pytest.raises(PermanentError, match="has more than 1000 bytes; 'app/b' alone has 600"):
        lay_out(repository, sha, ("app",), tmp_path / "context")
    assert not (tmp_path / "context" / "app" / "b").exists()


def test_a_path_that_the_commit_lacks_is_named(origin: Origin, repository: Repository) -> None:
    sha = origin.commit("app/a.py", "1")
    repository.fetch(silent)
    with pytest.raises(PermanentError, match="has no 'models', which belongs to the build context"):
        repository.files(sha, ("app", "models"))


def test_the_remotes_branches_are_listed_as_they_are_now_without_a_fetch(
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


def test_the_commits_after_one_that_the_mirror_lacks_are_not_known(
    origin: Origin, repository: Repository
) -> None:
    first, second = origin.commit("a", "1"), origin.commit("a", "2")
    repository.fetch(silent)
    assert repository.between(second, first) == []
    assert repository.between("f" * 40, second) is None


def test_a_program_in_a_url_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as refused:
        Repository(f"ext::touch {tmp_path / 'made'}", tmp_path / "cache").heads()
    assert "'ext' not allowed" in refused.value.details
    assert not (tmp_path / "made").exists()


def test_a_branch_and_a_tag_of_one_name_are_kept_apart(origin: Origin, repository: Repository) -> None:
    first = origin.commit("a", "1")
    origin.git("tag", "v1")
    second = origin.commit("a", "2")
    origin.git("branch", "v1")
    repository.fetch(silent)
    with pytest.raises(PermanentError, match=r"a branch and a tag 'v1'.*refs/heads/v1 or refs/tags/v1"):
        repository.resolve("v1", "main")
    assert repository.resolve("refs/tags/v1", "main").sha == first
    branch = repository.resolve("refs/heads/v1", "main")
    assert (branch.sha, branch.branch) == (second, "v1")


def test_a_shallow_checkout_is_a_repository(origin: Origin, tmp_path: Path) -> None:
    origin.commit("app/a.py", "1")
    sha = origin.commit("app/a.py", "2")
    shallow = tmp_path / "shallow"
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.folder}", str(shallow))
    repository = Repository(str(shallow), tmp_path / "cache")
    folder = lay_out(repository, sha, ("app",), tmp_path / "context")
    assert contents(folder) == {"app/a.py": b"2"}
    newer = origin.commit("app/a.py", "3")
    subprocess.run(["git", "fetch", "--quiet", "--depth=1", "origin", "main"], cwd=shallow, check=True)
    subprocess.run(["git", "reset", "--quiet", "--hard", "FETCH_HEAD"], cwd=shallow, check=True)
    repository.fetch(silent)
    assert repository.resolve("main", "main").sha == newer


def test_a_repository_of_sha_256_is_a_repository(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin", "--object-format=sha256")
    sha = origin.commit("app/a.py", "1")
    repository = Repository(str(origin.folder), tmp_path / "cache")
    assert len(sha) == 64
    assert contents(lay_out(repository, sha, ("app",), tmp_path / "context")) == {"app/a.py": b"1"}
    newer = origin.commit("app/a.py", "2")
    repository.fetch(silent)
    assert repository.resolve(newer, "main", announced="main").sha == newer
    assert repository.is_ancestor(sha, newer)


def test_a_repository_that_another_user_owns_is_named_with_the_remedy(
    origin: Origin, repository: Repository
) -> None:
    origin.commit("a", "1")
    for path in (origin.folder, *origin.folder.rglob("*")):
        os.chown(path, 65534, 65534)
    with pytest.raises(PermanentError, match=r"as another user owns it.*safe\.directory"):
        repository.fetch(silent)


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
        ("fatal: write error: No space left on device\nfatal: index-pack failed", PermanentError),
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


def test_a_first_mirror_that_takes_too_long_names_the_setting_and_a_later_fetch_the_host(
    origin: Origin, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent_host:  # which accepts, and never answers
        url = f"http://127.0.0.1:{silent_host.getsockname()[1]}/team/app.git"
        slow = Repository(url, tmp_path / "cache", timeout=1)
        with pytest.raises(SourceUnavailable, match=r"first mirror of .* within 1 s.*fetch_timeout"):
            slow.fetch(silent)
        origin.commit("file", "content")
        shutil.rmtree(slow.mirror)
        subprocess.run(["git", "clone", "--quiet", "--mirror", origin.folder, slow.mirror], check=True)
        with pytest.raises(SourceUnavailable, match="could not be reached"):
            slow.fetch(silent)


@pytest.mark.parametrize("token", [None, "wrong-token"])
def test_a_private_url_says_that_it_needs_credentials_and_where_to_put_them(
    private_url: str, tmp_path: Path, token: str | None
) -> None:
    logged: list[str] = []
    login = HttpLogin(lambda: token) if token else None
    with pytest.raises(CredentialsRefused, match=r"needs credentials.*\[source\] credentials") as refused:
        Repository(private_url, tmp_path / "cache", login).fetch(logged.append)
    assert "wrong-token" not in f"{refused.value}{logged}"


def test_a_fetch_that_may_not_wait_for_another_runs_names_it(origin: Origin, repository: Repository) -> None:
    origin.commit("a", "1")
    impatient = replace(repository, lock_wait=0)
    impatient.fetch(silent)
    with (
        FileLock(repository.cache / f"{repository.mirror.name}.lock"),
        pytest.raises(SourceUnavailable, match="Another run on this machine is fetching"),
    ):
        impatient.fetch(silent)


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


def test_a_folder_has_one_id_in_all_commits_that_did_not_change_it(
    origin: Origin, repository: Repository, tmp_path: Path
) -> None:
    first = origin.commit("deploy/base/a.yaml", "a: 1\n")
    second = origin.commit("README", "a word\n")
    third = origin.commit("deploy/base/a.yaml", "a: 2\n")
    repository.fetch(print)
    one, same, other = (repository.folder_tree(sha, "deploy") for sha in (first, second, third))
    assert one == same != other
    assert one
    assert other
    assert repository.has_tree(one)
    assert [file.path for file in repository.files_of(one)] == ["base/a.yaml"]
    repository.lay_out(repository.files_of(one), tmp_path / "out", datetime.now(UTC))
    assert (tmp_path / "out/base/a.yaml").read_text() == "a: 1\n"


@pytest.mark.parametrize("folder", ["missing", "README", "deploy/..", "-o"])
def test_what_is_no_folder_of_the_commit_has_no_id(
    origin: Origin, repository: Repository, folder: str
) -> None:
    sha = origin.commit("README", "a word\n")
    repository.fetch(print)
    assert repository.folder_tree(sha, folder) is None
    assert repository.folder_tree(sha, ".") is not None


@pytest.mark.parametrize("tree", ["", "HEAD", "0" * 40, "--batch"])
def test_an_id_that_is_of_no_folder_in_the_mirror_is_not_there(
    origin: Origin, repository: Repository, tree: str
) -> None:
    assert not repository.has_tree(tree)  # nothing was fetched yet
    origin.commit("README", "a word\n")
    repository.fetch(print)
    assert not repository.has_tree(tree)


def test_a_commit_is_on_a_branch_that_contains_it_and_on_no_other(
    origin: Origin, repository: Repository
) -> None:
    first = origin.commit("README", "a word\n")
    assert not repository.is_on_branch(first, "main")  # nothing was fetched yet
    origin.git("checkout", "--quiet", "-b", "feature")
    other = origin.commit("README", "another word\n")
    repository.fetch(print)
    assert [repository.is_on_branch(sha, "main") for sha in (first, other)] == [True, False]
    assert repository.is_on_branch(other, "feature")
    assert not repository.is_on_branch(first, "gone")
    assert not repository.is_on_branch("--all", "main")
