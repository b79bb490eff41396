"""A kubeconfig in a block leads to one cluster as one account, and makes this machine do nothing else."""

import traceback
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from flows.core.errors import SettingsError
from flows.services.kubernetes.kubeconfig import access

Kubeconfig = dict[str, Any]


def good() -> Kubeconfig:
    cluster = {"server": "https://10.0.0.1:6443", "certificate-authority-data": "QUJD"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "aks",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "s3cret"}}],
        "contexts": [{"name": "aks", "context": {"cluster": "c", "user": "u", "namespace": "staging"}}],
    }


def user(**changes: object) -> Callable[[Kubeconfig], None]:
    return lambda content: content["users"][0]["user"].update(changes)


def cluster(**changes: object) -> Callable[[Kubeconfig], None]:
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return lambda content: content["clusters"][0]["cluster"].update(named)


def two_clusters(content: Kubeconfig) -> None:
    content["clusters"] *= 2


def no_authority(content: Kubeconfig) -> None:
    del content["clusters"][0]["cluster"]["certificate-authority-data"]


def no_token(content: Kubeconfig) -> None:
    del content["users"][0]["user"]["token"]


HARMFUL: dict[str, tuple[Callable[[Kubeconfig], None], str]] = {
    "a program": (user(exec={"command": "/bin/sh", "args": ["-c", "id"]}), "users.0.user.exec"),
    "a provider": (user(**{"auth-provider": {"name": "gcp"}}), "users.0.user.auth-provider"),
    "a file with the token": (user(tokenFile="/etc/shadow"), "users.0.user.tokenFile"),
    "a file with the key": (user(**{"client-key": "/root/key"}), "users.0.user.client-key"),
    "a file with the authority": (
        cluster(certificate_authority="/etc/shadow"),
        "clusters.0.cluster.certificate-authority",
    ),
    "a proxy": (cluster(proxy_url="http://evil.example"), "clusters.0.cluster.proxy-url"),
    "no check of TLS": (
        cluster(insecure_skip_tls_verify=True),
        "clusters.0.cluster.insecure-skip-tls-verify",
    ),
    "no TLS": (cluster(server="http://10.0.0.1"), "clusters.0.cluster.server"),
    "two clusters": (two_clusters, "clusters"),
    "no authority": (no_authority, "clusters.0.cluster.certificate-authority-data"),
    "an authority that is no base64": (
        cluster(certificate_authority_data="s3cret!"),
        "clusters.0.cluster.certificate-authority-data",
    ),
    "no token": (no_token, "users.0.user.token"),
    "a context that it has not": (lambda content: content.update({"current-context": "b"}), "the content"),
}


def test_a_cluster_with_its_authority_and_an_account_with_its_token_are_accepted() -> None:
    found = access(yaml.safe_dump(good()), "a-block")
    assert (found.server, found.authority, found.token()) == ("https://10.0.0.1:6443", "ABC", "s3cret")
    assert found.context == "aks"
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(("spoil", "named"), HARMFUL.values(), ids=HARMFUL.keys())
def test_whatever_else_it_holds_is_refused_by_its_path(
    spoil: Callable[[Kubeconfig], None], named: str
) -> None:
    content = good()
    spoil(content)
    with pytest.raises(SettingsError) as refused:
        access(yaml.safe_dump(content), "a-block")
    assert f"The Secret block 'a-block' holds no kubeconfig that is accepted: {named}: " in str(refused.value)


@pytest.mark.parametrize("content", ["", "s3cret", "- s3cret", "{s3cret", "a: [s3cret", "[" * 10_000])
def test_what_is_no_kubeconfig_is_refused_and_not_quoted(content: str) -> None:
    with pytest.raises(SettingsError, match="holds no kubeconfig that is accepted") as refused:
        access(content, "a-block")
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))
