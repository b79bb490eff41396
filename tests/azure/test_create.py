"""What the scripts make of an empty subscription, with the real `az`; Azure alone is a stand-in."""

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.config.schema import Azure, Environment, ModelSettings, Results
from flows.config.schema import Registry as RegistrySettings
from tests.stand_ins.arm_store import ISSUER, ROLES, SUBSCRIPTION, ArmStore, arm_store
from tests.stand_ins.entra import entra
from tests.support import azure_cli
from tests.support.azure_cli import AzureCli

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("azure-cli")]

NAME = "acmeslipway"
ADMINISTRATOR = "44444444-4444-4444-4444-444444444444"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
REGISTRY = f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/{NAME}"
CLUSTER = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/{NAME}"
CONTAINERS = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/{NAME}/blobServices/default/containers"
PURPOSES = ("ci", "publish", "release", "poller", "housekeeping")


@pytest.fixture(scope="module")
def arm() -> Iterator[ArmStore]:
    with entra() as directory, arm_store(directory) as store:
        yield store


@pytest.fixture(scope="module")
def az(arm: ArmStore, tmp_path_factory: pytest.TempPathFactory) -> AzureCli:
    az = azure_cli.ensure().in_cloud(arm, tmp_path_factory.mktemp("home"))
    az.sign_in(arm.entra)
    return az


@pytest.fixture(scope="module")
def created(az: AzureCli, arm: ArmStore) -> str:
    """The lines for slipway.toml, once all is there."""
    return create(az).stdout


def create(az: AzureCli) -> subprocess.CompletedProcess[str]:
    place = ("--name", NAME, "--group", "rg", "--location", "westeurope")
    ended = az.run("deployments/azure/create", *place, "--administrator", ADMINISTRATOR)
    assert ended.returncode == 0, ended.stderr
    return ended


def roles(arm: ArmStore) -> set[tuple[str, str, str, str]]:
    """Of each assignment: object id and type of the principal, role, scope."""
    names = {role_id: role for role, role_id in ROLES.items()}
    found = (one for one in arm.objects.values() if one["type"] == "Microsoft.Authorization/roleAssignments")
    return {
        (
            one["properties"]["principalId"],
            one["properties"]["principalType"],
            names[one["properties"]["roleDefinitionId"].rpartition("/")[2]],
            one["properties"]["scope"],
        )
        for one in found
    }


def of(arm: ArmStore, kind: str, name: str = NAME) -> dict[str, Any]:
    properties = arm.named(kind, name)["properties"]
    assert isinstance(properties, dict)
    return properties


@pytest.mark.usefixtures("created")
def test_the_store_keeps_versions_and_takes_no_keys(arm: ArmStore) -> None:
    account = of(arm, "storageAccounts")
    assert account["allowSharedKeyAccess"] is False
    assert account["allowBlobPublicAccess"] is False
    assert account["supportsHttpsTrafficOnly"] is True
    assert account["minimumTlsVersion"] == "TLS1_2"
    service = of(arm, "blobServices", "default")
    assert service["isVersioningEnabled"] is True
    assert service["deleteRetentionPolicy"] == {"enabled": True, "days": 30}
    assert service["containerDeleteRetentionPolicy"] == {"enabled": True, "days": 30}
    assert arm.named("containers", "models")
    assert arm.named("containers", "results")


@pytest.mark.usefixtures("created")
def test_the_registry_has_no_administrators_password(arm: ArmStore) -> None:
    assert of(arm, "registries")["adminUserEnabled"] is False


@pytest.mark.usefixtures("created")
def test_the_cluster_knows_identities_of_entra_and_of_its_pods_alone(arm: ArmStore) -> None:
    cluster = of(arm, "managedClusters")
    assert cluster["disableLocalAccounts"] is True
    assert cluster["aadProfile"]["managed"] is True
    assert cluster["aadProfile"]["enableAzureRBAC"] is True
    assert cluster["oidcIssuerProfile"]["enabled"] is True
    assert cluster["securityProfile"]["workloadIdentity"] == {"enabled": True}
    assert "linuxProfile" not in cluster, "no node has an SSH key"


@pytest.mark.usefixtures("created")
def test_the_clusters_network_enforces_policies(arm: ArmStore) -> None:
    network = of(arm, "managedClusters")["networkProfile"]
    assert (network["networkPlugin"], network["networkPluginMode"]) == ("azure", "overlay")
    assert network["networkDataplane"] == "cilium"


@pytest.mark.usefixtures("created")
def test_each_identity_has_the_rights_of_its_purpose_and_no_other(arm: ArmStore) -> None:
    contributor, reader = "Storage Blob Data Contributor", "Storage Blob Data Reader"
    user, admin = "Azure Kubernetes Service Cluster User Role", "Azure Kubernetes Service RBAC Cluster Admin"
    models, results = f"{CONTAINERS}/models", f"{CONTAINERS}/results"
    expected = {
        "ci": {(contributor, models), (contributor, results), ("AcrPush", REGISTRY)},
        "publish": {(contributor, models)},
        "release": {("AcrPull", REGISTRY), (user, CLUSTER)},
        "poller": {(reader, models), ("AcrPull", REGISTRY)},
        "housekeeping": {
            (contributor, results),
            ("AcrPull", REGISTRY),
            ("AcrDelete", REGISTRY),
            (user, CLUSTER),
        },
        "agentpool": {("AcrPull", REGISTRY)},
    }
    of_identities = {
        (arm.principal(f"{NAME}-{purpose}"), "ServicePrincipal", role, scope)
        for purpose, rights in expected.items()
        for role, scope in rights
    }
    assert roles(arm) == of_identities | {(ADMINISTRATOR, "User", admin, CLUSTER)}


@pytest.mark.usefixtures("created")
def test_pods_with_the_service_account_of_an_identity_sign_in_as_it(arm: ArmStore) -> None:
    trusted = {
        path.split("/")[-3]: one["properties"]
        for path, one in arm.objects.items()
        if "/federatedidentitycredentials/" in path
    }
    assert trusted.keys() == {f"{NAME}-{purpose}" for purpose in PURPOSES}
    for identity, credential in trusted.items():
        assert credential["issuer"] == ISSUER
        assert credential["subject"] == f"system:serviceaccount:slipway:{identity}"
        assert credential["audiences"] == ["api://AzureADTokenExchange"]


def test_the_printed_lines_name_what_was_created(created: str, arm: ArmStore) -> None:
    printed = tomllib.loads(created)
    assert printed["azure"]["tenant"] == arm.entra.tenant
    assert printed["azure"]["client_id"] == of(arm, "userAssignedIdentities", f"{NAME}-ci")["clientId"]
    assert printed["registry"]["address"] == of(arm, "registries")["loginServer"]
    assert printed["model"]["store"] == f"az://{NAME}/models"
    production = printed["environments"]["production"]
    assert production["login"] == arm.principal(f"{NAME}-release")
    assert production["aks"] == {
        "subscription": SUBSCRIPTION,
        "resource_group": "rg",
        "cluster": NAME,
    }
    assert Azure(**printed["azure"]).identity == "managed"
    assert (
        ModelSettings(name="x", **printed["model"]).credentials
        is Results(**printed["results"]).credentials
        is None
    )
    assert RegistrySettings(**printed["registry"]).login == "azure"
    required = {"namespace": "x", "overlay": "x", "public_url": "http://x"}
    assert Environment(**required, **production).context is None
    for purpose in PURPOSES:
        identity = of(arm, "userAssignedIdentities", f"{NAME}-{purpose}")
        assert f"{identity['clientId']}, object id {identity['principalId']}" in created


def test_a_second_run_changes_nothing_but_what_differs(created: str, az: AzureCli, arm: ArmStore) -> None:
    before = {path: {**one, "properties": dict(one["properties"])} for path, one in arm.objects.items()}
    of(arm, "storageAccounts")["allowSharedKeyAccess"] = True
    of(arm, "registries")["adminUserEnabled"] = True
    of(arm, "registries")["networkRuleSet"] = {"defaultAction": "Deny"}
    of(arm, "managedClusters")["disableLocalAccounts"] = False
    again = create(az)
    assert again.stdout == created
    assert of(arm, "registries").pop("networkRuleSet") == {"defaultAction": "Deny"}
    assert arm.objects.keys() == before.keys()
    for path, one in arm.objects.items():
        assert one["properties"] == before[path]["properties"], path


def add_group(arm: ArmStore, name: str, tags: dict[str, str]) -> str:
    """A group with a registry in it; its path among the objects."""
    path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}"
    kind = "Microsoft.ContainerRegistry/registries"
    registry = f"{path}/providers/{kind}/{name}"
    common = {"location": "westeurope", "properties": {}}
    arm.objects[path.lower()] = {"id": path, "name": name, "type": "", "tags": tags, **common}
    arm.objects[registry.lower()] = {"id": registry, "name": name, "type": kind, **common}
    return path.lower()


def test_a_group_that_create_did_not_make_is_not_deleted(az: AzureCli, arm: ArmStore) -> None:
    theirs = add_group(arm, "theirs", {})
    ended = az.run("deployments/azure/delete", "--group", "theirs", "--yes")
    assert ended.returncode == 2
    assert "create did not make the resource group theirs" in ended.stderr
    assert theirs in arm.objects


def test_delete_lists_what_goes_and_wants_the_groups_name(az: AzureCli, arm: ArmStore) -> None:
    ours = add_group(arm, "ours", {"slipway": "created"})
    refused = az.run("deployments/azure/delete", "--group", "ours", answer="yes\n")
    assert refused.returncode == 2
    assert "Microsoft.ContainerRegistry/registries\tours" in refused.stderr
    assert ours in arm.objects
    deleted = az.run("deployments/azure/delete", "--group", "ours", answer="ours\n")
    assert deleted.returncode == 0, deleted.stderr
    assert not [path for path in arm.objects if path.startswith(ours)]


def test_there_may_be_nothing_to_delete(az: AzureCli) -> None:
    ended = az.run("deployments/azure/delete", "--group", "gone", "--yes")
    assert ended.returncode == 0
    assert "there is no resource group gone" in ended.stderr


def test_an_operator_who_is_not_signed_in_is_sent_to_do_so(tmp_path: Path) -> None:
    stranger = AzureCli(azure_cli.ensure().folder, {"HOME": str(tmp_path), "AZURE_CONFIG_DIR": str(tmp_path)})
    place = ("--name", NAME, "--group", "rg", "--location", "westeurope")
    for line in (("create", *place), ("delete", "--group", "rg")):
        ended = stranger.run(f"deployments/azure/{line[0]}", *line[1:])
        assert ended.returncode == 2
        assert "sign in first: az login" in ended.stderr
