"""What is said where the way to a system outside is closed: by the proxy, or by a certificate."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from flows.cli.connection import Connection
from flows.cli.server import Server
from flows.core.errors import SettingsError, TransientError
from flows.services.azure.aks import AksCluster
from flows.services.azure.cloud import CLOUDS, Cloud
from flows.services.azure.identity import STORAGE, AzureIdentity
from flows.services.git.repository import Repository
from flows.services.kubernetes.api import KubernetesApi
from flows.services.models import azure_blobs
from flows.services.process.network_faults import permanent_fault
from flows.services.registry.client import Registry
from tests.services.certificates import served
from tests.services.process.outside import Outside
from tests.services.process.service import HOST, URL, kubeconfig
from tests.stand_ins.company_proxy import PASSWORD
from tests.stand_ins.http_server import QuietHandler, serving

CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;BlobEndpoint={URL}"
AWAY = "http://127.0.0.1:9"
NAMED = r"[Tt]he proxy (http://)?127\.0\.0\.1:9"


def ask_git(folder: Path) -> None:
    Repository(f"{URL}/app.git", folder / "cache").heads()


def ask_registry(_: Path) -> None:
    Registry(HOST, "app").tags()


def ask_store(_: Path) -> None:
    azure_blobs.azure("models", connection_string=CONNECTION).read("x")


def ask_directory(_: Path) -> None:
    somewhere = Cloud(URL, URL, f"{URL}/.default", "blob.localhost")
    AzureIdentity(
        "service-principal", somewhere, "tenant", "client", lambda: "secret", own_authority=True
    ).token(STORAGE)


def ask_prefect(_: Path) -> None:
    Server(Connection(f"{URL}/api", None, URL)).run("1234")


def ask_cluster(folder: Path) -> None:
    KubernetesApi(kubeconfig(folder), "outside").get("/version")


def ask_resource_manager(_: Path) -> None:
    known = replace(CLOUDS["public"], resource_manager=URL)
    AksCluster(Known("azure-cli", known), "subscription", "group", "cluster").kubelet()


class Known(AzureIdentity):
    """An identity that has its tokens."""

    @property
    def credential(self) -> Any:
        return self

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("token", 4102444800)


Ask = Callable[[Path], None]
ASKED = (*(ask_git, ask_registry, ask_store, ask_directory, ask_prefect, ask_cluster, ask_resource_manager),)
EACH = pytest.mark.parametrize("ask", ASKED)


@EACH
def test_a_proxy_that_wants_a_login_is_reported(ask: Ask, outside: Outside) -> None:
    outside.enter(replace(outside.settings, login=None))

    with pytest.raises(SettingsError, match=f"The proxy {outside.proxy.url} wants") as caught:
        ask(outside.folder)
    assert "[network] proxy_login" in caught.value.remedy


@EACH
def test_a_proxy_that_refuses_the_login_is_reported(ask: Ask, outside: Outside) -> None:
    outside.proxy.login = "slipway:another"
    outside.enter(outside.settings)

    with pytest.raises(SettingsError, match=f"The proxy {outside.proxy.url} refuses") as caught:
        ask(outside.folder)
    assert PASSWORD not in str(caught.value)


@EACH
def test_a_certificate_that_is_not_trusted_is_reported(ask: Ask, outside: Outside) -> None:
    outside.enter(replace(outside.settings, authorities=None))

    with pytest.raises(SettingsError, match="is not trusted") as caught:
        ask(outside.folder)
    expected = "authority in the kubeconfig" if ask is ask_cluster else "[network] ca_bundle"
    assert expected in caught.value.remedy


@pytest.mark.parametrize("ask", [one for one in ASKED if one is not ask_store])
def test_a_proxy_that_denies_the_host_is_reported(ask: Ask, outside: Outside) -> None:
    outside.proxy.denial = "403 Forbidden"
    outside.enter(outside.settings)

    with pytest.raises(SettingsError, match=r"makes no connection to .*: it answers 403") as caught:
        ask(outside.folder)
    assert "[network] no_proxy" in caught.value.remedy


@EACH
def test_a_proxy_that_is_away_is_named(ask: Ask, outside: Outside) -> None:
    outside.enter(replace(outside.settings, proxy=AWAY))

    with pytest.raises(TransientError, match=NAMED) as caught:
        ask(outside.folder)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "days", "message"),
    [("localhost", -1, "has expired"), ("other.example.test", 60, "is for another host")],
)
def test_another_fault_of_a_certificate_is_reported(
    host: str, days: int, message: str, outside: Outside
) -> None:
    tls = served(outside.folder / "authority", host, ends=datetime.now(UTC) + timedelta(days=days))
    outside.enter(replace(outside.settings, proxy=None, login=None))
    with serving(QuietHandler, tls) as address, pytest.raises(SettingsError, match=message):
        Registry(address.replace("https://127.0.0.1", "localhost"), "app").tags()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("x509: certificate signed by unknown authority", "is not trusted"),
        ("x509: certificate has expired or is not yet valid", "has expired"),
        ("x509: certificate is valid for other.example.test, not localhost", "is for another host"),
        ("error: InvalidCertificate(\n UnknownIssuer", "is not trusted"),
        ("error: InvalidCertificate(\n ExpiredContext {", "has expired"),
        ("error: InvalidCertificate(\n NotValidForNameContext {", "is for another host"),
        ("server certificate verification failed. CAfile: none", "is not trusted"),
    ],
)
def test_certificates_are_reported_in_the_words_of_each_library(said: str, message: str) -> None:
    fault = permanent_fault("the registry", URL, said)
    assert fault is not None
    assert message in fault.happened


@pytest.mark.parametrize("said", ["Connection refused", "blob 407", "the object sha256:407 was not found"])
def test_other_words_are_no_permanent_fault(said: str) -> None:
    assert permanent_fault("the registry", URL, said) is None
