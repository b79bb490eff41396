"""Every client goes through the proxy of [network], with its login, to a server that its bundle proves."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import boto3
import httpx
import pytest
from botocore.config import Config

from deployments.local.cluster import kubernetes_binary
from flows.services.azure.identity import STORAGE
from flows.services.git.repository import Repository
from flows.services.kubernetes.api import KubernetesApi
from flows.services.models import azure_blobs
from flows.services.registry.client import Registry
from tests.services.process.outside import Outside
from tests.services.process.service import BLOB, COMMIT, HOST, URL, kubeconfig
from tests.stand_ins.arm import CLUSTER, arm
from tests.stand_ins.entra import entra

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def in_force(outside: Outside) -> Outside:
    """The network, with its settings in this process."""
    outside.enter(outside.settings)
    return outside


def git(folder: Path) -> None:
    assert Repository(f"{URL}/app.git", folder / "cache").heads() == {"main": COMMIT}


def through_httpx(_: Path) -> None:
    assert httpx.get(f"{URL}/version").json()["major"] == "1"


def registry(_: Path) -> None:
    assert Registry(HOST, "app").api.ask("GET", "manifests/latest").content == BLOB


def blobs(_: Path) -> None:
    account = f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;BlobEndpoint={URL}"
    assert azure_blobs.azure("models", connection_string=account).read("x") == BLOB


def aws(_: Path) -> None:
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "eu-central-1"}
    client = boto3.client("s3", endpoint_url=URL, config=ONCE, **keys)
    assert client.head_object(Bucket="models", Key="x")["ContentLength"] == len(BLOB)


def kubernetes(folder: Path) -> None:
    version = KubernetesApi(kubeconfig(folder), "outside").get("/version")
    assert version is not None
    assert version["major"] == "1"


def kubectl(folder: Path) -> None:
    program = kubernetes_binary.cache_folder() / f"kubernetes-{kubernetes_binary.key()}" / "kubectl"
    if not program.exists():
        pytest.skip("make run builds kubectl")
    command = [str(program), "--kubeconfig", str(kubeconfig(folder)), "get", "--raw", "/version"]
    assert subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize("client", [git, through_httpx, registry, blobs, aws, kubernetes, kubectl])
def test_it_reaches_what_only_the_proxy_finds(client: Callable[[Path], None], in_force: Outside) -> None:
    client(in_force.folder)

    assert set(in_force.proxy.connected) == {f"{HOST}:443"}


def test_prefects_client_reaches_its_server(outside: Outside) -> None:
    """In a program that is started in the network, as the worker is: Prefect reads it when it is imported."""
    program = (
        "import asyncio\n"
        "from prefect.client.orchestration import get_client\n"
        "async def ask():\n"
        "    async with get_client() as client:\n"
        "        assert await client.api_healthcheck() is None\n"
        "asyncio.run(ask())\n"
    )
    wanted = {
        "SLIPWAY_NETWORK__PROXY": outside.proxy.url,
        "SLIPWAY_NETWORK__PROXY_LOGIN": str(outside.settings.login),
        "SLIPWAY_NETWORK__CA_BUNDLE": str(outside.settings.authorities),
        "SLIPWAY_STATE": str(outside.folder / "state"),
        "PREFECT_API_URL": f"{URL}/api",
        "PREFECT_HOME": str(outside.folder / "prefect"),
    }
    command = [sys.executable, "-m", "flows.config.network", sys.executable, "-c", program]

    ended = subprocess.run(command, env={**os.environ, **wanted}, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert outside.proxy.connected == [f"{HOST}:443"]


def test_azure_identity_reaches_entra_id(outside: Outside) -> None:
    with entra(hosts=("login.example.test",)) as directory:
        outside.proxy.port = int(directory.url.rpartition(":")[2])
        directory.url = "https://login.example.test"
        outside.enter(replace(outside.settings, authorities=directory.folder / "ca.crt"))

        assert directory.identity("pipeline").token(STORAGE).value
    assert set(outside.proxy.connected) == {"login.example.test:443"}


def test_azures_own_client_reaches_resource_manager(outside: Outside) -> None:
    sign_in, manager_host = "login.example.test", "management.example.test"
    with entra(hosts=(sign_in,)) as directory, arm(directory, hosts=(manager_host,)) as manager:
        for host, stand_in in ((sign_in, directory), (manager_host, manager)):
            outside.proxy.ports[host] = int(stand_in.url.rpartition(":")[2])
            stand_in.url = f"https://{host}"
        outside.enter(replace(outside.settings, authorities=directory.folder / "ca.crt"))
        manager.users.add("pipeline")

        assert manager.cluster("pipeline").login().context == CLUSTER
    assert set(outside.proxy.connected) == {f"{sign_in}:443", f"{manager_host}:443"}
