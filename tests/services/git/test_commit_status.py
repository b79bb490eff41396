"""How a commit's run goes, as its host shows it."""

import base64
from collections.abc import Iterator

import pytest

from flows.core.errors import CredentialsRefused, SettingsError, StatusNotTaken
from flows.services.git.commit_status import AzureRepos, GitHub, host
from flows.services.git.login import HttpLogin
from tests.stand_ins.commit_host import CommitHost, commit_host

A_TOKEN, T = HttpLogin(lambda: "a-token"), HttpLogin(lambda: "t")

SHA = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
LINK = "http://127.0.0.1:4200/runs/flow-run/1"


@pytest.fixture
def provider() -> Iterator[CommitHost]:
    with commit_host() as found:
        yield found


def test_github_gets_state_run_and_reason(provider: CommitHost) -> None:
    github = host("https://github.com/Acme/App.git", None, provider.url, A_TOKEN)
    assert github is not None
    github.tell(SHA, "failure", "2 of 31 tests failed.", LINK)
    ((path, headers, body),) = provider.received
    assert path == f"/repos/acme/app/statuses/{SHA}"
    assert headers["Authorization"] == "Bearer a-token"
    assert body == {
        "state": "failure",
        "target_url": LINK,
        "description": "2 of 31 tests failed.",
        "context": "slipway",
    }


@pytest.mark.parametrize(
    ("state", "theirs"), [("pending", "pending"), ("success", "succeeded"), ("failure", "failed")]
)
def test_azure_repos_gets_its_own_words(provider: CommitHost, state: str, theirs: str) -> None:
    azure = host("https://dev.azure.com/acme/shop/_git/app", None, provider.url, A_TOKEN)
    assert azure is not None
    azure.tell(SHA, state, "Being built", LINK)  # type: ignore[arg-type]  # pytest's parameters are str
    ((path, headers, body),) = provider.received
    assert path == f"/_apis/git/repositories/app/commits/{SHA}/statuses?api-version=7.1"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"slipway:a-token"
    assert (body["state"], body["targetUrl"]) == (theirs, LINK)
    assert body["context"] == {"name": "ci", "genre": "slipway"}


def test_azure_repos_gets_a_token_of_entra_as_bearer(provider: CommitHost) -> None:
    login = HttpLogin(lambda: "an-access-token", "Bearer")
    azure = host("https://dev.azure.com/acme/shop/_git/app", None, provider.url, login)
    assert azure is not None
    azure.tell(SHA, "pending", "Being built", LINK)
    assert provider.received[0][1]["Authorization"] == "Bearer an-access-token"


def test_an_address_that_is_none_and_a_token_that_no_host_gave_are_errors_of_ours(
    provider: CommitHost,
) -> None:
    with pytest.raises(SettingsError, match="status_api"):
        GitHub("https://github.example.org:api/v3", "acme/app", A_TOKEN).tell(SHA, "pending", "", LINK)
    with pytest.raises(CredentialsRefused, match="character"):
        GitHub(provider.url, "acme/app", HttpLogin(lambda: "tökén")).tell(SHA, "pending", "", LINK)
    assert provider.received == []


def test_a_long_reason_is_cut_to_what_github_takes(provider: CommitHost) -> None:
    GitHub(provider.url, "acme/app", A_TOKEN).tell(SHA, "failure", "why\n" * 100, LINK)
    description = provider.received[0][2]["description"]
    assert len(description) == 140
    assert description.startswith("why why ")


@pytest.mark.parametrize(
    ("answer", "error"),
    [(401, CredentialsRefused), (404, CredentialsRefused), (422, StatusNotTaken), (502, StatusNotTaken)],
)
def test_a_host_that_does_not_take_it_is_named_without_the_token(
    provider: CommitHost, answer: int, error: type[Exception]
) -> None:
    provider.answers = answer
    with pytest.raises(error) as refused:
        GitHub(provider.url, "acme/app", A_TOKEN).tell(SHA, "success", "", LINK)
    assert "a-token" not in str(refused.value)


def test_a_host_that_is_away_is_an_error_of_its_own() -> None:
    with pytest.raises(StatusNotTaken, match="commit status could not be sent"):
        GitHub("http://127.0.0.1:1", "acme/app", A_TOKEN).tell(SHA, "success", "", LINK)


@pytest.mark.parametrize(
    ("repository", "provider", "expected"),
    [
        ("git@github.com:acme/app.git", None, GitHub("https://api.github.com", "acme/app", T)),
        (
            "https://git.example.org/acme/app",
            "github",
            GitHub("https://git.example.org/api/v3", "acme/app", T),
        ),
        (
            "git@ssh.dev.azure.com:v3/acme/shop/app",
            None,
            AzureRepos("https://dev.azure.com/acme/shop", "app", T),
        ),
        ("https://github.com/acme/app", "none", None),
        ("https://git.example.org/acme/app", None, None),
        ("/srv/app", None, None),
    ],
)
def test_the_repositorys_host_gets_the_status_unless_settings_name_another(
    repository: str, provider: str | None, expected: object
) -> None:
    assert host(repository, provider, None, T) == expected


def test_a_repository_that_does_not_fit_its_provider_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="commit statuses need"):
        host("https://git.example.org/app", "github", None, T)
