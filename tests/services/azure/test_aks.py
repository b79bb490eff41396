"""Where an AKS cluster is and as whom it is reached, as Resource Manager answers."""

from collections.abc import Iterator
from dataclasses import replace

import jwt
import pytest

from flows.core.errors import (
    ClusterUnavailable,
    CredentialsRefused,
    PermanentError,
    SettingsError,
    SlipwayError,
)
from tests.stand_ins.arm import KUBELET, SERVER_ID, Arm, arm, refusal
from tests.stand_ins.entra import entra


@pytest.fixture(scope="module")
def started() -> Iterator[Arm]:
    with entra() as directory, arm(directory) as found, pytest.MonkeyPatch.context() as variables:
        for name, value in directory.variables.items():
            variables.setenv(name, value)
        yield found


@pytest.fixture
def manager(started: Arm) -> Arm:
    """A running cluster that lets Entra ID sign people in, and its user `pipeline`."""
    started.users, started.power, started.has_entra, started.has_local_accounts = (
        {"pipeline"},
        "Running",
        True,
        False,
    )
    started.server, started.authority = "https://prod.hcp.example:443", b"an authority"
    started.fail.clear()
    started.asked.clear()
    return started


def test_the_address_comes_from_azure_and_the_token_is_for_this_api_server(manager: Arm) -> None:
    found = manager.cluster("pipeline").login()
    assert (found.server, found.authority, found.context) == (
        "https://prod.hcp.example:443",
        "an authority",
        "prod",
    )
    claims = jwt.decode(found.token(), manager.directory.public_key, ["RS256"], audience=SERVER_ID)
    assert claims["oid"] == manager.directory.object_id("pipeline")


def test_the_kubelets_identity_is_named(manager: Arm) -> None:
    assert manager.cluster("pipeline").kubelet() == f"the kubelet's identity {KUBELET} (object id object-7)"


def stopped(manager: Arm) -> None:
    manager.power = "Stopped"


def without_role(manager: Arm) -> None:
    manager.users.clear()


def of_another_tenant(manager: Arm) -> None:
    said = "The access token is from the wrong issuer. It must match one of the tenants of this subscription."
    manager.fail.append(refusal(401, "InvalidAuthenticationTokenTenant", said))


def without_kubeconfig(manager: Arm) -> None:
    manager.fail += [(200, {"properties": {}}, {}), (200, {"kubeconfigs": []}, {})]


def without_entra(manager: Arm) -> None:
    manager.has_entra, manager.has_local_accounts = False, True


def without_any_accounts(manager: Arm) -> None:
    manager.has_entra = False


def of_an_older_cloud(manager: Arm) -> None:
    said = "No registered resource provider found for location 'westeurope' and API version '2025-05-01'"
    manager.fail.append(refusal(400, "NoRegisteredProviderFound", said))


def busy(manager: Arm) -> None:
    manager.fail += [refusal(429, "TooManyRequests", "Too many.", Retry_After="0")] * 2


def broken(manager: Arm) -> None:
    manager.fail += [refusal(503, "ServerUnavailable", "Later.", Retry_After="0")] * 2


@pytest.mark.parametrize(
    ("change", "error", "happened", "remedy"),
    [
        (stopped, PermanentError, "prod in the resource group rg is stopped", "az aks start --resource"),
        (
            without_role,
            CredentialsRefused,
            "may not read the AKS cluster prod in the resource group rg (AuthorizationFailed)",
            '"Azure Kubernetes Service Cluster User',
        ),
        (of_another_tenant, CredentialsRefused, "InvalidAuthenticationTokenTenant", "[azure] tenant"),
        (without_entra, SettingsError, "takes no tokens of Entra ID", "az aks update --enable-aad"),
        (without_kubeconfig, SettingsError, "takes no tokens of Entra ID", "az aks update --enable-aad"),
        (without_any_accounts, SettingsError, "disable local accounts", "az aks update --enable-aad"),
        (of_an_older_cloud, PermanentError, "does not offer version 2025-05-01", "az provider register"),
        (busy, ClusterUnavailable, "it answered 429", "try again"),
        (broken, ClusterUnavailable, "it answered 503", "try again"),
    ],
)
def test_what_azure_refuses_is_reported_with_what_to_do(
    manager: Arm, change: object, error: type[SlipwayError], happened: str, remedy: str
) -> None:
    assert callable(change)
    change(manager)
    with pytest.raises(error) as refused:
        manager.cluster("pipeline").login()
    assert type(refused.value) is error
    assert happened in refused.value.happened
    assert remedy in refused.value.remedy


def test_a_cluster_that_does_not_exist_is_a_wrong_setting(manager: Arm) -> None:
    with pytest.raises(SettingsError, match="The AKS cluster gone in the resource group rg does not exist"):
        manager.cluster("pipeline", "gone").login()


def test_one_answer_429_is_waited_out(manager: Arm) -> None:
    manager.fail.append(refusal(429, "TooManyRequests", "Too many.", Retry_After="0"))
    assert manager.cluster("pipeline").login().context == "prod"


def test_a_resource_manager_that_is_away_is_worth_another_try(manager: Arm) -> None:
    found = manager.cluster("pipeline")
    nowhere = replace(found.identity.cloud, resource_manager="https://localhost:9")
    with pytest.raises(ClusterUnavailable, match="did not give the address of the AKS cluster prod"):
        replace(found, identity=replace(found.identity, cloud=nowhere)).login()
