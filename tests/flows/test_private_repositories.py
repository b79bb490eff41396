"""From a commit in a private repository to an image, by the poller, without an access token of a person."""

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import Line
from tests.flows.polling import await_run, poller
from tests.flows.private_sources import GitHub, behind_a_deploy_key, behind_a_github_app
from tests.support.ssh_server import SshServer, program

pytestmark = pytest.mark.slow


def build_what_the_poller_finds(line: Line, variables: pytest.MonkeyPatch) -> list[str]:
    """The commits that became images: the one that is there, and one that comes while the poller looks."""
    with poller(line, variables):
        there = line.git("rev-parse", "HEAD")
        require_image(line, there)
        newer = line.commit()
        require_image(line, newer)
    return [there, newer]


def require_image(line: Line, sha: str) -> None:
    """Return when a run that something else starts has built and pushed that commit."""
    run = await_run(line, sha)
    assert run.state == "COMPLETED", run.message
    assert "built, tested and pushed" in run.message
    assert line.latest is not None
    assert line.latest.content.commit == sha


@pytest.fixture
def ssh(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    with behind_a_deploy_key(line, tmp_path, monkeypatch) as server:
        yield server


@pytest.mark.skipif(program() is None, reason="this machine has no sshd: bootstrap --tests")
def test_behind_a_deploy_key_commits_become_images_by_themselves(
    line: Line, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(build_what_the_poller_finds(line, monkeypatch)) == 2
    assert "Accepted publickey" in (ssh.folder / "log").read_text()


@pytest.fixture
def github(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    with behind_a_github_app(line, tmp_path, monkeypatch) as found:
        bundle = tmp_path / "company.pem"
        bundle.write_bytes(found.authority)
        monkeypatch.setenv("SLIPWAY_NETWORK__CA_BUNDLE", str(bundle))
        yield found


def test_behind_a_github_app_commits_become_images_by_themselves_and_get_a_status(
    line: Line, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = build_what_the_poller_finds(line, monkeypatch)
    shown = [(body["state"], path) for path, body in github.api.statuses]
    assert shown == [
        (state, f"/repos/acme/app/statuses/{sha}") for sha in built for state in ("pending", "success")
    ]
    assert {password_of(header) for header in github.git.asked} <= github.api.readers


def password_of(authorization: str) -> str:
    """What git signed in with."""
    return b64decode(authorization.removeprefix("Basic ")).decode().partition(":")[2]
