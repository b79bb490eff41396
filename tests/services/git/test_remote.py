"""What goes wrong between this machine and a git host: against git's own server over HTTP."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.core.errors import (
    CommandFailed,
    CredentialsRefused,
    RefNotFound,
    SettingsError,
    SlipwayError,
    SourceUnavailable,
)
from flows.services.git.login import HttpLogin
from flows.services.git.repository import Repository
from flows.services.process.command import silent
from tests.stand_ins.git_over_http import GitHost, git_over_http, page
from tests.stand_ins.http_server import QuietHandler, serving
from tests.stand_ins.own_certificate import own_certificate
from tests.support.origin import Origin

ONE_LINE, LINES = b"<html>sign in</html>", b"<html>\n<body>sign in</body>\n</html>\n"
"""git reads the first as an empty repository, and refuses the second."""


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A repository with a commit on main."""
    made = Origin(tmp_path / "app.git")
    made.commit("a", "1")
    return made


@pytest.fixture
def host(origin: Origin) -> Iterator[GitHost]:
    with git_over_http(origin.folder.parent) as found:
        yield found


@pytest.fixture
def repository(host: GitHost, tmp_path: Path) -> Repository:
    return Repository(f"{host.url}/app.git", tmp_path / "cache", HttpLogin(lambda: "a-token"))


def refs(repository: Repository) -> str:
    shown = ["git", "for-each-ref", "refs/heads", "refs/tags"]
    return subprocess.run(shown, cwd=repository.mirror, check=True, capture_output=True, text=True).stdout


def inode(repository: Repository) -> int:
    return repository.mirror.stat().st_ino


@pytest.mark.parametrize("body", [ONE_LINE, LINES])
@pytest.mark.parametrize("status", [200, 203])
def test_a_page_in_place_of_git_empties_no_mirror_and_is_no_list_of_branches(
    host: GitHost, repository: Repository, status: int, body: bytes
) -> None:
    repository.fetch(silent)
    before, mirror = refs(repository), inode(repository)
    host.always = page(status, body)
    message = rf"127\.0\.0\.1 answers with a page of a proxy or a sign-in \({status}, text/html\)"
    with pytest.raises(SourceUnavailable, match=message):
        repository.fetch(silent)
    with pytest.raises(SourceUnavailable, match=message):
        repository.heads()
    assert (refs(repository), inode(repository)) == (before, mirror)
    host.always = None
    repository.fetch(silent)
    assert repository.heads()


def test_a_page_is_no_empty_repository_at_the_first_fetch_either(
    host: GitHost, repository: Repository
) -> None:
    host.always = page(200)
    with pytest.raises(SourceUnavailable, match="answers with a page"):
        repository.fetch(silent)


def test_a_repository_whose_branches_are_all_deleted_is_named_and_the_mirror_keeps_them(
    host: GitHost, repository: Repository, origin: Origin
) -> None:
    repository.fetch(silent)
    before = refs(repository)
    origin.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(RefNotFound, match=r"has no branch\. Push the released branch"):
        repository.fetch(silent)
    with pytest.raises(RefNotFound, match="has no branch"):
        repository.heads()
    assert refs(repository) == before


def test_a_repository_without_a_commit_is_mirrored(host: GitHost, tmp_path: Path) -> None:
    Origin(tmp_path / "empty.git")
    empty = Repository(f"{host.url}/empty.git", tmp_path / "cache")
    empty.fetch(silent)
    with pytest.raises(RefNotFound, match="no branch, tag or commit 'main'"):
        empty.resolve("main", "main")


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, CredentialsRefused, r"needs credentials.*\[source\] credentials"),
        (403, CredentialsRefused, r"does not let it read the repository \(403\).*single sign-on"),
        (404, RefNotFound, r"no git repository at .*may have been renamed"),
        (429, SourceUnavailable, r"takes no more requests.*\[watch\] interval"),
        (503, SourceUnavailable, "a problem of its own: it answers 503"),
    ],
)
def test_each_answer_of_a_host_has_its_own_remedy_and_leaves_the_mirror_alone(
    host: GitHost, repository: Repository, status: int, error: type[SlipwayError], message: str
) -> None:
    repository.fetch(silent)
    mirror = inode(repository)
    host.always = page(status)
    with pytest.raises(error, match=message):
        repository.fetch(silent)
    assert inode(repository) == mirror


def test_a_moved_repository_is_read_and_its_new_address_is_logged(
    host: GitHost, repository: Repository
) -> None:
    host.moved["/app.git"] = "/team/app.git"
    (Path(repository.cache).parent / "team").mkdir()
    (Path(repository.cache).parent / "team" / "app.git").symlink_to(Path(repository.cache).parent / "app.git")
    said: list[str] = []
    repository.fetch(said.append)
    assert any(f"has moved to {host.url}/team/app.git: correct [source] repository." in line for line in said)


def test_a_token_is_not_sent_to_the_host_that_a_repository_has_moved_to(
    host: GitHost, repository: Repository, origin: Origin
) -> None:
    host.passwords.add("a-token")
    with git_over_http(origin.folder.parent) as other:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        other.passwords.add("a-token")
        host.moved["/app.git"] = f"{elsewhere}/app.git"
        with pytest.raises(CredentialsRefused, match=rf"has moved to {elsewhere}/app\.git: another host or"):
            repository.fetch(silent)
        assert set(other.asked) == {""}


def test_a_redirect_to_a_sign_in_names_the_host_of_the_page(
    host: GitHost, repository: Repository, origin: Origin
) -> None:
    repository.fetch(silent)
    before = refs(repository)
    with git_over_http(origin.folder.parent) as sign_in:
        sign_in.always = page(200)
        host.moved["/app.git"] = f"{sign_in.url.replace('127.0.0.1', 'localhost')}/login"
        with pytest.raises(SourceUnavailable, match="localhost answers with a page of a proxy or a sign-in"):
            repository.fetch(silent)
        assert set(sign_in.asked) == {""}
    assert refs(repository) == before


def test_the_token_is_asked_for_at_each_use(host: GitHost, tmp_path: Path) -> None:
    tokens = iter(["first", "second"])
    repository = Repository(f"{host.url}/app.git", tmp_path / "cache", HttpLogin(lambda: next(tokens)))
    host.passwords = {"first"}
    repository.fetch(silent)
    assert repository.resolve("main", "main").branch == "main"
    host.passwords = {"second"}
    assert repository.heads()


def test_a_token_of_entra_is_sent_as_bearer(host: GitHost, tmp_path: Path) -> None:
    host.bearers = {"an-access-token"}
    login = HttpLogin(lambda: "an-access-token\n", "Bearer")
    assert Repository(f"{host.url}/app.git", tmp_path / "cache", login).heads()


@pytest.mark.parametrize("status", [401, 403])
def test_a_login_that_is_no_token_of_a_block_has_a_remedy_of_its_own(
    host: GitHost, tmp_path: Path, status: int
) -> None:
    host.always = page(status)
    login = HttpLogin(lambda: "a-token", "Bearer", "Add the identity to the organization.")
    with pytest.raises(CredentialsRefused) as refused:
        Repository(f"{host.url}/app.git", tmp_path / "cache", login).heads()
    assert refused.value.remedy == "Add the identity to the organization."


def test_the_repository_of_manifests_names_its_own_table(host: GitHost, tmp_path: Path) -> None:
    host.passwords.add("a-token")
    with pytest.raises(CredentialsRefused, match=r"\[manifests\] credentials"):
        Repository(f"{host.url}/app.git", tmp_path / "cache", table="manifests").fetch(silent)


def test_a_commit_that_a_force_push_replaced_is_no_misspelt_name(
    repository: Repository, origin: Origin, host: GitHost
) -> None:
    lost = origin.commit("a", "2")
    origin.git("reset", "--quiet", "--hard", "HEAD~1")
    origin.git("reflog", "expire", "--expire=now", "--all")
    origin.git("prune", "--expire=now")
    repository.fetch(silent)
    with pytest.raises(RefNotFound, match=rf"has no commit {lost[:12]}: .*a force-push has replaced it"):
        repository.resolve(lost, "main")


def test_a_certificate_that_is_not_trusted_or_for_another_host_names_the_setting(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_certificate()
    with git_over_http(origin.folder.parent, own.server) as host:
        repository = Repository(f"{host.url}/app.git", tmp_path / "cache")
        message = r"certificate of the repository .* is not trusted.*\[network\] ca_bundle"
        with pytest.raises(SettingsError, match=message):
            repository.fetch(silent)
        bundle = tmp_path / "ca.pem"
        bundle.write_bytes(own.authority)
        monkeypatch.setenv("GIT_SSL_CAINFO", str(bundle))
        assert repository.heads()
        other = Repository(f"{host.url.replace('127.0.0.1', 'localhost')}/app.git", tmp_path / "cache")
        with pytest.raises(SettingsError, match=r"certificate of the repository .* is for another host"):
            other.heads()


class _Proxy(QuietHandler):
    answers = 407

    def do_CONNECT(self) -> None:
        self.send_response(self.answers)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_CONNECT


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_password_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with serving(_Proxy) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy)
        repository = Repository(f"{scheme}://git.example.org/app.git", tmp_path / "cache")
        message = r"wants a user and a password for the way to .*\[network\] proxy_login"
        with pytest.raises(SettingsError, match=message):
            repository.fetch(silent)


@pytest.mark.parametrize(("status", "error"), [(403, SettingsError), (503, SourceUnavailable)])
def test_a_proxy_that_lets_nothing_through_to_the_host_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, error: type[SlipwayError]
) -> None:
    monkeypatch.setattr(_Proxy, "answers", status)
    with serving(_Proxy) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        with pytest.raises(error, match=rf"makes no connection to .*: it answers {status}"):
            Repository("https://git.example.org/app.git", tmp_path / "cache").heads()


@pytest.mark.parametrize(
    ("proxy", "named"),
    [("http://127.0.0.1:9", "127.0.0.1:9"), ("http://proxy.invalid:3128", "proxy.invalid")],
)
def test_a_proxy_that_is_away_is_named_in_place_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, named: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    repository = Repository("https://git.example.org/app.git", tmp_path / "cache")
    with pytest.raises(SourceUnavailable, match=rf"The proxy {named} on the way to .*\[network\] proxy"):
        repository.heads()


def test_a_mirror_is_not_made_again_where_git_fails_without_one_too(
    host: GitHost, repository: Repository
) -> None:
    repository.fetch(silent)
    mirror, said = inode(repository), list[str]()
    host.always = (200, {"Content-Type": "application/x-git-upload-pack-advertisement"}, b"0000")
    with pytest.raises((CommandFailed, SourceUnavailable)):
        repository.fetch(said.append)
    assert inode(repository) == mirror
    assert not any("is made again" in line for line in said)
