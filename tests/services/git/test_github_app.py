"""A GitHub App's tokens: how they are had, kept and used, and why there is none."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.core.errors import (
    CredentialsRefused,
    PermanentError,
    SettingsError,
    SlipwayError,
    SourceUnavailable,
)
from flows.services.git import commit_status, github_app
from flows.services.git.github_app import Installation, installation
from flows.services.git.login import HttpLogin
from flows.services.git.repository import Repository
from flows.services.process.command import silent
from tests.stand_ins.git_over_http import git_over_http
from tests.stand_ins.github_api import GitHubApi, github_api
from tests.stand_ins.own_certificate import OwnCertificate, own_certificate
from tests.support.origin import Origin

URL = "https://github.example.org/acme/app"
READ = {"contents": "read"}


@pytest.fixture(scope="module")
def own() -> OwnCertificate:
    return own_certificate()


@pytest.fixture
def api(own: OwnCertificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubApi]:
    """GitHub's API, which this process trusts."""
    trusted = ssl.create_default_context(cadata=own.authority.decode())
    monkeypatch.setattr(github_app, "authorities", lambda: trusted)
    monkeypatch.setattr(commit_status, "authorities", lambda: trusted)
    with github_api(own.server) as found:
        yield found


@pytest.fixture
def app(api: GitHubApi) -> Installation:
    return installation(URL, api.url, api.client_id, lambda: api.key, READ)


def test_a_token_is_for_one_repository_with_the_permissions_that_are_needed(
    api: GitHubApi, app: Installation
) -> None:
    token = app.token()
    assert api.given == [(token, {"repositories": ["app"], "permissions": READ})]


def test_a_token_is_kept_while_it_is_valid_for_minutes_and_then_asked_for_again(
    api: GitHubApi, app: Installation
) -> None:
    assert app.token() == app.token()
    api.lifetime = 290
    other = installation(URL, api.url, api.client_id, lambda: api.key, READ)
    assert other.token() != other.token()


def test_git_reads_with_the_token_and_the_commits_status_is_written_with_another(
    api: GitHubApi, app: Installation, tmp_path: Path
) -> None:
    sha = Origin(tmp_path / "app.git").commit("a", "1")
    with git_over_http(tmp_path) as host:
        host.passwords = {app.token()}
        repository = Repository(f"{host.url}/app.git", tmp_path / "cache", HttpLogin(app.token))
        repository.fetch(silent)
        assert repository.heads() == {"main": sha}
    writing = installation(URL, api.url, api.client_id, lambda: api.key, {"statuses": "write"})
    shown = commit_status.host(URL, "github", api.url, HttpLogin(writing.token))
    assert shown is not None
    shown.tell(sha, "success", "Built", "http://127.0.0.1/run")
    ((path, body),) = api.statuses
    assert path == f"/repos/acme/app/statuses/{sha}"
    assert body["state"] == "success"
    assert [wanted["permissions"] for _, wanted in api.given] == [READ, {"statuses": "write"}]


@pytest.mark.parametrize(
    ("clock", "message"),
    [(-120, r"clock is 1[12]\d s ahead of GitHub's"), (900, r"clock is (89\d|90\d) s behind GitHub's")],
)
def test_a_wrong_clock_is_named_with_its_direction(
    api: GitHubApi, app: Installation, clock: int, message: str
) -> None:
    api.clock = clock
    with pytest.raises(PermanentError, match=rf"{message}.*NTP") as refused:
        app.token()
    assert "claim" in refused.value.details


def test_the_key_of_another_app_is_refused(api: GitHubApi) -> None:
    other = GitHubApi().key
    with pytest.raises(
        CredentialsRefused, match=r"the private key is none of the App's.*github_app"
    ) as refused:
        installation(URL, api.url, api.client_id, lambda: other, READ).token()
    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize("key", ["", "ghs_a-token-and-no-key", "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n"])
def test_a_block_without_a_key_is_named_and_not_quoted(api: GitHubApi, key: str) -> None:
    with pytest.raises(CredentialsRefused, match="holds no private key") as refused:
        installation(URL, api.url, api.client_id, lambda: key, READ).token()
    assert key == "" or key not in f"{refused.value}{refused.value.details}{refused.value.__cause__}"


def test_a_key_with_the_line_ends_of_another_system_is_one(api: GitHubApi) -> None:
    pasted = api.key.replace("\n", "\r\n").strip()
    assert installation(URL, api.url, api.client_id, lambda: pasted, READ).token().startswith("ghs_")


def test_an_unknown_app_an_app_that_is_not_installed_and_a_missing_permission_have_errors_of_their_own(
    api: GitHubApi,
) -> None:
    with pytest.raises(SettingsError, match="GitHub knows no App Iv1unknown"):
        installation(URL, api.url, "Iv1unknown", lambda: api.key, READ).token()
    with pytest.raises(CredentialsRefused, match="is not installed on acme/other"):
        installation(f"{URL.removesuffix('app')}other", api.url, api.client_id, lambda: api.key, READ).token()
    with pytest.raises(CredentialsRefused, match=r"lacks a permission that is needed \(checks: write\)"):
        installation(URL, api.url, api.client_id, lambda: api.key, {"checks": "write"}).token()


@pytest.mark.parametrize(
    ("status", "message", "error", "expected"),
    [
        (403, "API rate limit exceeded for installation ID 42.", SourceUnavailable, "rate limit"),
        (403, "This installation has been suspended", CredentialsRefused, "suspended"),
        (429, "Too many requests", SourceUnavailable, "429"),
        (502, "Server Error", SourceUnavailable, "502"),
    ],
)
def test_each_answer_of_github_says_whether_to_wait_or_to_act(
    api: GitHubApi, app: Installation, status: int, message: str, error: type[SlipwayError], expected: str
) -> None:
    api.answers.append((status, message))
    with pytest.raises(error, match=expected):
        app.token()
    assert app.token()


def test_while_github_is_away_the_source_is_unavailable() -> None:
    key = GitHubApi().key
    away = installation(URL, "https://127.0.0.1:9/api/v3", "Iv1", lambda: key, READ)
    with pytest.raises(SourceUnavailable, match="gave no token for the GitHub App: ConnectError"):
        away.token()


@pytest.mark.parametrize(
    ("repository", "api"),
    [
        ("https://github.com/Acme/App.git", "https://api.github.com"),
        ("https://acme.ghe.com/acme/app", "https://api.acme.ghe.com"),
        ("https://github.example.org/acme/app", "https://github.example.org/api/v3"),
    ],
)
def test_the_api_follows_from_the_repositorys_host(repository: str, api: str) -> None:
    found = installation(repository, None, "Iv1", lambda: "", READ)
    assert (found.api, found.repository) == (api, "acme/app")
    with pytest.raises(SettingsError, match="can't sign in to"):
        installation("https://github.com/acme", None, "Iv1", lambda: "", READ)
