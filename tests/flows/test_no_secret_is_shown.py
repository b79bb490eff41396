"""No secret is in what runs show or leave: logs, artifacts, parameters, states, layers, arguments, files.

Looked for are all secrets that the platform's blocks hold, what they are made of, and any signed token.
"""

import io
import re
import tarfile
import threading
import time
import uuid
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import psutil
import pytest
import yaml
from prefect_aws import AwsClientParameters, AwsCredentials
from prefect_docker.credentials import DockerRegistryCredentials
from pydantic import SecretStr

from deployments.local.docker.engine import connect
from flows.config import load as configuration
from flows.config.on_prefect import blocks_of
from flows.services.prefect.client import FlowRun
from flows.stages.resolve_image import CAPSULE
from tests.flows.clouds import CI, ELSEWHERE, Cloud, cloud_of, publish
from tests.flows.conftest import Line
from tests.flows.environments import Place
from tests.flows.private_sources import behind_a_deploy_key, behind_a_github_app
from tests.stand_ins.company_proxy import CompanyProxy, company_proxy
from tests.stand_ins.github_api import GitHubApi
from tests.stand_ins.s3_server import s3_server
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.prefect_client import asking
from tests.support.ssh_server import program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

SIGNED_TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")
"""A JSON Web Token, as Kubernetes, Entra and registries give them."""

SHOWN = {"logs": "flow_run_id", "artifacts": "flow_run_id", "flow_runs": "id", "task_runs": "flow_run_id"}
"""What Prefect's server shows of a run, and where that names it."""

PLAIN = {
    "username",
    "aws_access_key_id",
    "endpoint_url",
    "region_name",
    "registry_url",
    "account_url",
    "container_name",
    "base_folder",
    "current-context",
    "server",
}
"""Fields of blocks that are no secret."""

SHORTEST = 8
"""Characters of what counts as a secret: a user's name is in many places."""

SPOILED, WRONG_BLOCK = "no-such-password-8d1f", "slipway-registry-spoiled"


class Secrets:
    """What must be nowhere, each by the name of where it is kept: all that the settings of now name."""

    def __init__(self, platform: PlatformUnderTest) -> None:
        self.known = dict(self._of_blocks(platform))
        sign_in = str(platform.environment["PREFECT_API_AUTH_STRING"])
        self.known["Prefect's sign-in"] = sign_in.partition(":")[2]

    def found_in(self, content: bytes) -> list[str]:
        """The names of those that are in there, as they are or as base64 of `user:secret` ends with them."""
        named = [name for name, secret in self.known.items() if secret.encode() in content]
        return [*named, *(f"a token {token[:20]!r}…" for token in SIGNED_TOKEN.findall(content))]

    def _of_blocks(self, platform: PlatformUnderTest) -> Iterator[tuple[str, str]]:
        for block in blocks_of(configuration.load()):
            values = platform.api.block(*block.split("/")) or {}
            for path, text in leaves(values):
                for number, part in enumerate(parts(text)):
                    yield f"{block} {path} {number}", part
            if {"username", "password"} <= values.keys():
                pair = f"{values['username']}:{values['password']}"
                yield f"{block} in base64", b64encode(pair.encode()).decode()


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a block's values that is a secret."""
    if isinstance(values, dict):
        for key, value in values.items():
            if key not in PLAIN:
                yield from leaves(value, f"{path}.{key}")
    elif isinstance(values, str) and len(values) >= SHORTEST:
        yield path, values


def parts(text: str) -> list[str]:
    """A secret's own parts: the key of a connection string, the password of a pair, a kubeconfig's token.

    Of a private key, each line.
    """
    if "AccountKey=" in text:
        return [text.partition("AccountKey=")[2].partition(";")[0]]
    if text.startswith("apiVersion"):
        return [user["user"]["token"] for user in yaml.safe_load(text)["users"]]
    if text.startswith("-----BEGIN"):
        found = [line for line in text.splitlines() if not line.startswith("-----")]
    else:
        found = text.split(":")
    return [part for part in found if len(part) >= SHORTEST]


@contextmanager
def arguments_of_processes() -> Iterator[set[str]]:
    """The command lines of all processes that are there meanwhile, looked at without a pause."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    seen.add("\0".join(process.cmdline()))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


def ended(line: Line, run: FlowRun) -> FlowRun:
    """The run when it is over and its log has come."""
    over = line.platform.wait(run)
    wait_until(lambda: "Finished in state" in line.platform.log(over), "The run's log has no end")
    return over


def shown(platform: PlatformUnderTest, runs: Iterable[FlowRun]) -> dict[str, bytes]:
    """All that the server shows of those runs."""
    found = {}
    with asking(platform.api) as client:
        for run in runs:
            for what, key in SHOWN.items():
                table = "flow_runs" if what == "task_runs" else what
                query = {table: {"id" if table == "flow_runs" else key: {"any_": [run.id]}}, "limit": 200}
                offset, pages = 0, []
                while page := page_of(client, what, query | {"offset": offset}):
                    pages.append(str(page))
                    offset += len(page)
                found[f"{what} of {run.name} ({run.id})"] = "\n".join(pages).encode()
    return found


def page_of(client: httpx.Client, what: str, query: dict[str, Any]) -> list[Any]:
    found: list[Any] = client.post(f"/{what}/filter", json=query).raise_for_status().json()
    return found


def files(folder: Path, since: float) -> dict[str, bytes]:
    """Logs and reports below it that were written since then."""
    found = {}
    for path in folder.rglob("*.log"):
        if path.is_file() and path.stat().st_mtime >= since:
            found[str(path.relative_to(folder))] = path.read_bytes()
    for path in (folder / "reports").rglob("*"):
        if path.is_file() and path.stat().st_mtime >= since:
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def layers(image: str) -> dict[str, bytes]:
    """The image's configuration and every file of its layers, unpacked."""
    found = {}
    saved = b"".join(connect().images.get(image).save())
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)):
                content = file.read()
                found[member.name] = zlib.decompress(content, 31) if content[:2] == b"\x1f\x8b" else content
    return found


def spoiled(platform: PlatformUnderTest) -> str:
    """The name of a block of the registry with a wrong password, which a run is refused with."""
    wanted = configuration.load().registry
    values = platform.api.block("docker-registry-credentials", str(wanted.credentials)) or {}
    login = {"registry_url": wanted.address, "username": values["username"], "password": SecretStr(SPOILED)}
    DockerRegistryCredentials(**login).save(WRONG_BLOCK, overwrite=True)
    return WRONG_BLOCK


def test_no_secret_is_in_what_whole_runs_show_or_leave(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets(line.platform)
    assert len(secrets.known) >= 9
    assert all(secrets.found_in(f"before {secret} after".encode()) for secret in secrets.known.values())
    began = time.time()
    with arguments_of_processes() as arguments:
        line.commit("Another")
        built = ended(line, line.start("ci/commit"))
        assert built.state == "COMPLETED", built.message
        Place("staging").empty()
        released = ended(line, line.start_release())
        assert released.state == "COMPLETED", released.message
        latest = line.latest
        assert latest is not None
        image = f"{line.registry.name}:{latest.content.capsule}"
        monkeypatch.setenv("SLIPWAY_REGISTRY__CREDENTIALS", spoiled(line.platform))
        line.commit("A third")
        refused = ended(line, line.start("ci/commit"))
        assert refused.state == "FAILED"
        assert "refuses the credentials" in refused.message
    secrets.known["the password that was refused"] = SPOILED
    everything = all_that_is_left(line, began, (built, released, refused), image, arguments)
    assert {name: seen for name, content in everything.items() if (seen := secrets.found_in(content))} == {}


def all_that_is_left(
    line: Line, since: float, runs: Sequence[FlowRun], image: str, arguments: set[str]
) -> dict[str, bytes]:
    """What those runs show and leave, by where it is: each has a log, and a build was among them."""
    found = {
        **shown(line.platform, runs),
        **files(line.platform.instance.state, since),
        **layers(image),
        "arguments of processes": "\n".join(sorted(arguments)).encode(),
    }
    logs = [name for name, content in found.items() if name.startswith("logs of ") and len(content) > 500]
    assert len(logs) == len(runs)
    assert any("docker" in line and "build" in line for line in arguments)
    assert any("git" in line and "fetch" in line for line in arguments)
    return found


@dataclass(frozen=True)
class Company:
    """A line whose every system wants a secret of another kind.

    `authorized` is the file that lets its deploy key in, `results` the URL of its bucket of test results;
    `secrets` are those that no block holds.
    """

    cloud: Cloud
    proxy: CompanyProxy
    authorized: Path
    results: str
    secrets: dict[str, str]


@pytest.fixture
def company(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """It is reached by a deploy key. Its identity signs in through a proxy; its test results are in S3."""
    password = f"p@ss/{uuid.uuid4().hex}"
    with (
        cloud_of(line, tmp_path, monkeypatch, f"of-entra~{uuid.uuid4().hex}") as cloud,
        behind_a_deploy_key(line, tmp_path, monkeypatch) as server,
        company_proxy(urlsplit(cloud.directory.url).port or 0) as proxy,
        s3_server() as s3,
    ):
        proxy.login = f"slipway:{password}"
        cloud.directory.url = cloud.directory.url.replace("localhost", ELSEWHERE)
        login = tmp_path / "proxy-login"
        login.touch(mode=0o600)
        login.write_text(proxy.login)
        httpx.put(f"{s3}/results", trust_env=False).raise_for_status()
        AwsCredentials(
            aws_access_key_id="AKIARESULTS",
            aws_secret_access_key=SecretStr(f"of/aws+{uuid.uuid4().hex}"),
            region_name="eu-west-1",
            aws_client_parameters=AwsClientParameters(endpoint_url=s3),
        ).save(f"{line.model}-results", overwrite=True)
        for key, value in {
            "AZURE__AUTHORITY": cloud.directory.url,
            "NETWORK__PROXY": proxy.url,
            "NETWORK__PROXY_LOGIN": str(login),
            "RESULTS__STORE": "s3://results",
            "RESULTS__CREDENTIALS": f"aws-credentials/{line.model}-results",
        }.items():
            monkeypatch.setenv(f"SLIPWAY_{key}", value)
        of_the_proxy = {
            "the proxy's password": password,
            "the proxy's password in a URL": quote(password, safe=""),
            "the proxy's login in base64": b64encode(proxy.login.encode()).decode(),
        }
        yield Company(cloud, proxy, server.folder / "authorized", f"{s3}/results", of_the_proxy)


@pytest.mark.skipif(program() is None, reason="this machine has no sshd: bootstrap --tests")
def test_no_secret_of_a_company_is_in_what_runs_show_or_leave(
    line: Line, company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, registry = company.cloud.directory, company.cloud.registry
    secrets = Secrets(line.platform)
    secrets.known |= company.secrets
    began = time.time()
    with arguments_of_processes() as arguments:
        published = ended(line, publish(line))
        built = ended(line, line.start("ci/commit"))
        assert built.state == "COMPLETED", built.message
        assert "built, tested and pushed" in built.message
        assert company.proxy.connected
        assert "<Key>tests/" in httpx.get(company.results, trust_env=False).text
        with monkeypatch.context() as changed:
            changed.setattr(company.proxy, "login", "slipway:another")
            without_proxy = refused(line, "refuses the user and password")
        with monkeypatch.context() as changed:
            changed.setitem(directory.secrets, CI, "another")
            without_identity = refused(line, "AADSTS7000215")
        company.authorized.write_text("")
        without_key = refused(line, "refuses the SSH key")
        with behind_a_github_app(line, tmp_path, monkeypatch) as github:
            for key in ("DEPLOY_KEY", "KNOWN_HOSTS"):
                monkeypatch.delenv(f"SLIPWAY_SOURCE__{key}")
            company.cloud.bundle.write_bytes(company.cloud.bundle.read_bytes() + github.authority)
            secrets.known |= Secrets(line.platform).known
            found = ended(line, line.start("ci/commit"))
            assert found.state == "COMPLETED", found.message
            assert [body["state"] for _, body in github.api.statuses] == ["pending", "success"]
            secrets.known |= {f"token {n} of the App": one for n, (one, _) in enumerate(github.api.given)}
            monkeypatch.setattr(github.api, "public_key", GitHubApi().public_key)
            without_app = refused(line, "the private key is none of the App's")
    assert all(secrets.found_in(f"before {secret} after".encode()) for secret in secrets.known.values())
    assert any("IdentitiesOnly=yes" in one for one in arguments)
    for kind in ("-identity", "-key", "-app", "-results", "proxy's password", "token 1 of the App"):
        assert any(kind in name for name in secrets.known), kind
    capsule = next(tag for _, tag in registry.pushed if CAPSULE.fullmatch(tag))
    everything = all_that_is_left(
        line,
        began,
        (published, built, found, without_proxy, without_identity, without_key, without_app),
        f"{registry.address}/teams/{line.model}:{capsule}",
        arguments,
    )
    assert {name: seen for name, content in everything.items() if (seen := secrets.found_in(content))} == {}


def refused(line: Line, expected: str) -> FlowRun:
    """A run of ci that fails by that, when it is over."""
    run = ended(line, line.start("ci/commit"))
    assert run.state == "FAILED"
    assert expected in run.message
    return run
