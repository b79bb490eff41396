"""As whom git asks the repositories that slipway.toml names, and the host of commit statuses."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from flows.config import load as configuration
from flows.config.load import Settings
from flows.config.on_prefect import blocks_of
from flows.core.errors import SettingsError
from flows.credentials import environment, prefect_blocks
from flows.credentials.azure import azure_repos
from flows.services.azure.identity import DEVOPS
from flows.services.git.login import DeployKey, HttpLogin
from flows.services.git.repository import Repository
from flows.services.models.transfer import no_progress
from flows.services.process.command import silent
from flows.stages.context import RunContext
from tests.stand_ins.entra import Entra, entra
from tests.stand_ins.git_over_http import git_over_http
from tests.support.origin import Origin

SSH, HTTPS = "git@git.example.org:acme/app.git", "https://github.example.org/acme/app"
KNOWN = "git.example.org ssh-ed25519 AAAA"
APP = {"client_id": "Iv23abc", "credentials": "app-key"}


@pytest.fixture(autouse=True)
def blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Prefect's Secret blocks by name; no variable is set."""
    found: dict[str, str] = {}
    monkeypatch.setattr(prefect_blocks, "secret", lambda name, _key: found[name])
    for name in [name for name in os.environ if name.startswith("SLIPWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path))
    return found


@pytest.fixture
def directory() -> Iterator[Entra]:
    with entra() as found:
        yield found


def settings(monkeypatch: pytest.MonkeyPatch, **tables: dict[str, object]) -> Settings:
    """Those of slipway.toml with these keys."""
    for table, keys in tables.items():
        for key, value in keys.items():
            text = value if isinstance(value, str) else json.dumps(value)
            monkeypatch.setenv(f"SLIPWAY_{table}__{key}".upper(), text)
    return configuration.load()


def test_a_block_that_is_saved_again_counts_at_the_next_use(
    monkeypatch: pytest.MonkeyPatch, blocks: dict[str, str]
) -> None:
    found = prefect_blocks.repository_login(
        settings(monkeypatch, source={"repository": HTTPS, "credentials": "token"}), "source"
    )
    assert isinstance(found, HttpLogin)
    blocks["token"] = "first"
    assert found.authorization() == f"Basic {base64.b64encode(b'slipway:first').decode()}"
    blocks["token"] = "second\n"
    assert found.value() == "second"
    assert "second" not in repr(found)


def test_each_repository_has_the_key_and_the_hosts_of_its_own_table(
    monkeypatch: pytest.MonkeyPatch, blocks: dict[str, str]
) -> None:
    wanted = settings(
        monkeypatch,
        source={"repository": SSH, "deploy_key": "app", "known_hosts": [KNOWN]},
        manifests={"repository": f"{SSH}-deploy", "deploy_key": "deploy", "known_hosts": [f"{KNOWN} 2"]},
    )
    blocks |= {"app": "a key", "deploy": "another key"}
    found = [
        prefect_blocks.repository_login(wanted, "source"),
        prefect_blocks.repository_login(wanted, "manifests"),
    ]
    assert [(one.key(), one.known_hosts) for one in found if isinstance(one, DeployKey)] == [
        ("a key", (KNOWN,)),
        ("another key", (f"{KNOWN} 2",)),
    ]
    assert prefect_blocks.status_login(wanted) is None


def test_the_manifests_of_the_same_repository_have_its_login_unless_they_have_their_own(
    monkeypatch: pytest.MonkeyPatch, blocks: dict[str, str], tmp_path: Path
) -> None:
    def context(wanted: Settings) -> RunContext:
        return RunContext("r", wanted, tmp_path, silent, no_progress, prefect_blocks)

    source: dict[str, object] = {"repository": SSH, "deploy_key": "app", "known_hosts": [KNOWN]}
    run = context(settings(monkeypatch, source=source))
    assert run.manifests_repository is run.repository
    assert run.repository.table == "source"
    own: dict[str, object] = {"deploy_key": "deploy", "known_hosts": [KNOWN]}
    run = context(settings(monkeypatch, manifests=own))
    blocks |= {"app": "a key", "deploy": "another key"}
    login = run.manifests_repository.login
    assert isinstance(login, DeployKey)
    assert (run.manifests_repository.url, run.manifests_repository.table) == (SSH, "manifests")
    assert login.key() == "another key"


def test_a_status_has_its_own_token_or_the_repositorys_login(
    monkeypatch: pytest.MonkeyPatch, blocks: dict[str, str]
) -> None:
    blocks |= {"token": "reads", "status": "writes"}
    source: dict[str, object] = {"repository": HTTPS, "credentials": "token"}
    found = prefect_blocks.status_login(settings(monkeypatch, source=source))
    assert found
    assert found.value() == "reads"
    found = prefect_blocks.status_login(settings(monkeypatch, source={"status_credentials": "status"}))
    assert found
    assert found.value() == "writes"


def test_every_block_of_a_repository_is_among_those_that_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = settings(
        monkeypatch,
        source={"repository": HTTPS, "github_app": APP},
        manifests={"repository": SSH, "deploy_key": "deploy", "known_hosts": [KNOWN]},
    )
    found = blocks_of(wanted)
    assert found["secret/app-key"] == "[source] github_app"
    assert found["secret/deploy"] == "[manifests] deploy_key"


def test_without_a_login_git_finds_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = settings(monkeypatch, source={"repository": HTTPS})
    assert prefect_blocks.repository_login(wanted, "source") is None
    assert environment.repository_login(wanted, "source") is None
    monkeypatch.setenv(environment.TOKEN, "by-hand")
    found = environment.repository_login(wanted, "source")
    assert isinstance(found, HttpLogin)
    assert found.value() == "by-hand"


def test_azures_identity_reads_azure_repos_with_a_token_for_azure_devops(
    directory: Entra, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(directory.ca))
    sha = Origin(tmp_path / "app.git").commit("a", "1")
    login = azure_repos(directory.identity("22222222-2222-2222-2222-222222222222"))
    scheme, _, token = login.authorization().partition(" ")
    audience = DEVOPS.removesuffix("/.default")
    claims = jwt.decode(token, directory.public_key, algorithms=["RS256"], audience=audience)
    assert (scheme, claims["appid"]) == ("Bearer", "22222222-2222-2222-2222-222222222222")
    with git_over_http(tmp_path) as host:
        host.bearers = {token}
        assert Repository(f"{host.url}/app.git", tmp_path / "cache", login).heads() == {"main": sha}


@pytest.mark.parametrize("source", [prefect_blocks, environment])
def test_azures_login_without_an_identity_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, source: object
) -> None:
    url = "https://dev.azure.com/acme/shop/_git/app"
    wanted = settings(monkeypatch, source={"repository": url, "login": "azure"})
    with pytest.raises(SettingsError, match=r"\[azure\] identity"):
        source.repository_login(wanted, "source")  # type: ignore[attr-defined]  # a module


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"repository": HTTPS, "credentials": "a", "github_app": APP}, "several logins, and needs one: "),
        ({"repository": SSH, "deploy_key": "a"}, "`deploy_key` needs `known_hosts`"),
        ({"repository": SSH, "known_hosts": [KNOWN]}, "`known_hosts` belongs to `deploy_key`"),
        ({"repository": HTTPS, "deploy_key": "a", "known_hosts": [KNOWN]}, "`deploy_key` needs an SSH URL"),
        ({"repository": SSH, "login": "azure"}, "need a URL that begins with https://"),
        ({"repository": SSH, "github_app": APP}, "need a URL that begins with https://"),
        ({"repository": SSH, "deploy_key": "a", "known_hosts": ["SHA256:abc"]}, "known_hosts"),
    ],
)
def test_logins_that_do_not_fit_are_refused(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, object], expected: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(monkeypatch, source=keys)
    assert expected in str(refused.value)
