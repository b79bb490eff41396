"""git over SSH with a deploy key: against a real OpenSSH server."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.core.errors import CredentialsRefused, PermanentError, RefNotFound, SlipwayError, SourceUnavailable
from flows.services.git.login import DeployKey
from flows.services.git.repository import Repository
from flows.services.process.command import silent
from flows.services.process.temporary import in_use
from tests.support.origin import Origin
from tests.support.ssh_server import SshServer, program, ssh_server

pytestmark = pytest.mark.skipif(program() is None, reason="this machine has no sshd: bootstrap --tests")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as found:
        yield found


@pytest.fixture(scope="module")
def key(server: SshServer) -> str:
    """A private key that may read."""
    text = server.new_key("deploy")
    server.authorize("deploy")
    return text


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    made = Origin(tmp_path_factory.mktemp("git") / "app.git")
    made.commit("a", "1")
    return made


Made = Callable[..., Repository]


@pytest.fixture
def repository(server: SshServer, key: str, origin: Origin, tmp_path: Path) -> Made:
    """The repository, asked for with that key and those known hosts."""

    def make(text: str = key, *known_hosts: str, folder: Path = origin.folder) -> Repository:
        login = DeployKey(lambda: text, known_hosts or (server.known_as(),))
        return Repository(server.url(folder), tmp_path / "cache", login)

    return make


def test_a_deploy_key_reads_the_repository_and_is_gone_when_git_has_ended(
    repository: Made, origin: Origin
) -> None:
    wanted = repository()
    wanted.fetch(silent)
    assert wanted.heads() == {"main": origin.git("rev-parse", "main")}
    assert not [name for name in in_use() if "ssh" in name]


def test_while_git_runs_the_key_is_for_this_user_alone(key: str, server: SshServer) -> None:
    with DeployKey(lambda: key, (server.known_as(),)).ssh() as command:
        words = command.split()
        file = Path(words[words.index("-i") + 1])
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)]
        assert "PRIVATE" not in command
    assert modes == [0o600, 0o700]
    assert not file.exists()


@pytest.mark.parametrize(
    "pasted",
    [
        lambda key: key.replace("\n", "\r\n"),
        lambda key: key.rstrip("\n"),
        lambda key: f"\n {key.strip().replace(chr(10), ' ' + chr(10))}",
    ],
    ids=["line ends of Windows", "no last line end", "spaces around"],
)
def test_a_key_that_pasting_has_changed_is_mended(
    repository: Made, key: str, pasted: Callable[[str], str]
) -> None:
    assert repository(pasted(key)).heads()


def test_a_host_that_is_not_known_is_refused_with_the_setting(repository: Made, key: str) -> None:
    message = r"No key \(ED25519\) of the host .* is known.*ssh-keyscan.*\[source\] known_hosts"
    with pytest.raises(PermanentError, match=message):
        repository(key, "git.example.org ssh-ed25519 AAAA").fetch(silent)


def test_a_host_whose_key_has_changed_is_refused_with_a_warning(
    repository: Made, key: str, server: SshServer
) -> None:
    if not (server.folder / "other").exists():
        server.new_key("other")
    message = r"shows another key \(ED25519\) than .*another machine may be answering.*Only then replace"
    with pytest.raises(PermanentError, match=message) as refused:
        repository(key, server.known_as("other")).fetch(silent)
    assert "SHA256:" in refused.value.details


def test_the_mirror_is_not_made_again_because_of_the_host(
    repository: Made, key: str, server: SshServer
) -> None:
    repository().fetch(silent)
    said: list[str] = []
    with pytest.raises(PermanentError, match="is known"):
        repository(key, "git.example.org ssh-ed25519 AAAA").fetch(said.append)
    assert not any("made again" in line for line in said)


def test_a_key_that_is_not_let_in_names_the_setting(repository: Made, server: SshServer) -> None:
    with pytest.raises(CredentialsRefused, match=r"refuses the SSH key.*\[source\] deploy_key"):
        repository(server.new_key("stranger")).heads()


def test_a_key_that_ssh_can_not_use_is_reported_without_being_quoted(
    repository: Made, server: SshServer, key: str
) -> None:
    lines = key.splitlines()
    for text, message in [
        (server.new_key("locked", "a passphrase"), "has a passphrase"),
        ("ssh-ed25519 AAAA deploy", "is no private key"),
        ("\n".join([*lines[:2], *lines[3:]]), "part of it is missing"),
    ]:
        with pytest.raises(CredentialsRefused, match=message) as refused:
            repository(text).heads()
        assert text.splitlines()[-1] not in str(refused.value)
        assert refused.value.__context__ is None


def test_a_repository_that_is_not_there_and_a_host_that_is_away_have_errors_of_their_own(
    repository: Made, tmp_path: Path, key: str
) -> None:
    errors: list[tuple[Repository, type[SlipwayError]]] = [
        (repository(folder=tmp_path / "nowhere.git"), RefNotFound),
        (
            Repository("ssh://git@127.0.0.1:9/app.git", tmp_path, DeployKey(lambda: key, ("h t k",))),
            SourceUnavailable,
        ),
    ]
    for wanted, error in errors:
        with pytest.raises(error):
            wanted.heads()
