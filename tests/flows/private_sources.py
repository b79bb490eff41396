"""A line's repository as a private one: behind a deploy key, and behind a GitHub App."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.blocks.system import Secret

from tests.flows.conftest import Line
from tests.stand_ins.git_over_http import GitHost, git_over_http
from tests.stand_ins.github_api import GitHubApi, github_api
from tests.stand_ins.own_certificate import own_certificate
from tests.support.ssh_server import SshServer, ssh_server


@contextmanager
def behind_a_deploy_key(line: Line, folder: Path, variables: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """At a real OpenSSH server that lets the line's deploy key alone in."""
    (folder / "ssh").mkdir()
    with ssh_server(folder / "ssh") as server:
        Secret(value=server.new_key("deploy")).save(f"{line.model}-key", overwrite=True)
        server.authorize("deploy")
        variables.setenv("SLIPWAY_SOURCE__REPOSITORY", server.url(line.repository))
        variables.setenv("SLIPWAY_SOURCE__DEPLOY_KEY", f"{line.model}-key")
        variables.setenv("SLIPWAY_SOURCE__KNOWN_HOSTS", json.dumps([server.known_as()]))
        yield server


@dataclass(frozen=True)
class GitHub:
    """Its interface, its web server, and the authority (PEM) of both."""

    api: GitHubApi
    git: GitHost
    authority: bytes


@contextmanager
def behind_a_github_app(line: Line, folder: Path, variables: pytest.MonkeyPatch) -> Iterator[GitHub]:
    """As acme/app at an Enterprise server, where the line's App is installed on it.

    Its authority is for the caller to put into [network] ca_bundle.
    """
    (folder / "github" / "acme").mkdir(parents=True)
    (folder / "github" / "acme" / "app").symlink_to(line.repository)
    own = own_certificate()
    with github_api(own.server) as api, git_over_http(folder / "github", own.server) as git:
        git.passwords = api.readers
        Secret(value=api.key).save(f"{line.model}-app", overwrite=True)
        app = {"client_id": api.client_id, "credentials": f"{line.model}-app"}
        variables.setenv("SLIPWAY_SOURCE__REPOSITORY", f"{git.url}/acme/app")
        variables.setenv("SLIPWAY_SOURCE__GITHUB_APP", json.dumps(app))
        variables.setenv("SLIPWAY_SOURCE__STATUS", "github")
        variables.setenv("SLIPWAY_SOURCE__STATUS_API", api.url)
        yield GitHub(api, git, own.authority)
