"""Clusters of Azure Kubernetes Service by name: Resource Manager gives their address, Entra ID the tokens."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from flows.core.errors import (
    ClusterUnavailable,
    CredentialsRefused,
    PermanentError,
    SettingsError,
    SlipwayError,
)
from flows.services.azure.identity import AzureIdentity
from flows.services.kubernetes.kubeconfig import AccountAccess
from flows.services.process.network_faults import permanent_fault, through_proxy

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError
    from azure.mgmt.containerservice import ContainerServiceClient

T = TypeVar("T")

API_VERSION = "2025-05-01"
"""Of Microsoft.ContainerService: not the newest, which clouds beside the public one get late."""

ROLE = "Azure Kubernetes Service Cluster User Role"
"""The right to read the cluster, and the address and authority of its API server."""

NOT_OFFERED = {
    "NoRegisteredProviderFound",
    "InvalidApiVersionParameter",
    "InvalidResourceType",
    "MissingSubscriptionRegistration",
}
"""Codes of a Resource Manager that has no such version of the API, or no AKS at all."""

STOPPED = "Stopped"
SERVER_ID = "--server-id"
"""The argument of kubelogin that names the application for which the API server takes tokens."""


@dataclass(frozen=True)
class AksCluster:
    """One cluster, as that identity sees it."""

    identity: AzureIdentity
    subscription: str
    resource_group: str
    name: str

    def login(self) -> AccountAccess:
        """The cluster's API server as the identity, with tokens of Entra ID.

        `SettingsError` where there is no such cluster, or it takes no tokens of Entra ID;
        `CredentialsRefused` where the identity has no right to it; `PermanentError` where it is stopped;
        `ClusterUnavailable` where Resource Manager is away or busy.
        """
        self._require_running()
        given = self._asked(self._credentials)
        try:
            content = yaml.safe_load(given)
            cluster, arguments = content["clusters"][0]["cluster"], _plugin_arguments(content)
            scope = f"{arguments[arguments.index(SERVER_ID) + 1]}/.default"
            authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
            server = str(cluster["server"])
        except (LookupError, ValueError, TypeError, yaml.YAMLError) as error:
            raise SettingsError(
                f"The {self._itself} takes no tokens of Entra ID: its kubeconfig names no exec plugin.",
                self._enable_entra,
            ) from error
        return AccountAccess(server, authority, "", lambda: self.identity.token(scope).value, self.name)

    def kubelet(self) -> str:
        """The identity that the cluster's nodes pull with, by its name and object id in Azure; errors as of
        `login`."""
        profile = self._asked(self._found).identity_profile or {}
        if (nodes := profile.get("kubeletidentity")) is None:
            return "the kubelet's identity"
        name = str(nodes.resource_id).rpartition("/")[2]
        return f"the kubelet's identity {name} (object id {nodes.object_id})"

    @property
    def _itself(self) -> str:
        return f"AKS cluster {self.name} in the resource group {self.resource_group}"

    @property
    def _enable_entra(self) -> str:
        return (
            "Let Entra ID sign users in there: az aks update --enable-aad "
            f"--resource-group {self.resource_group} --name {self.name}"
        )

    def _require_running(self) -> None:
        power = self._asked(self._found).power_state
        if power is not None and power.code == STOPPED:
            raise PermanentError(
                f"The {self._itself} is stopped.",
                f"Start it: az aks start --resource-group {self.resource_group} --name {self.name}",
            )

    def _found(self, client: "ContainerServiceClient") -> Any:
        return client.managed_clusters.get(self.resource_group, self.name)

    def _credentials(self, client: "ContainerServiceClient") -> bytes:
        """The kubeconfig of the cluster's users, as YAML; empty where Azure gives none."""
        given = client.managed_clusters.list_cluster_user_credentials(
            self.resource_group, self.name, format="exec"
        )
        return next((bytes(one.value) for one in given.kubeconfigs or () if one.value), b"")

    def _asked(self, question: "Callable[[ContainerServiceClient], T]") -> T:
        from azure.core import exceptions as known  # noqa: PLC0415  # takes half a second to import
        from azure.mgmt.containerservice import ContainerServiceClient  # noqa: PLC0415  # as above

        cloud = self.identity.cloud
        self.identity.token(cloud.resource_manager_scope)  # its errors are Entra ID's, not Resource Manager's
        try:
            with ContainerServiceClient(
                self.identity.credential,
                self.subscription,
                cloud.resource_manager,
                credential_scopes=[cloud.resource_manager_scope],
                api_version=API_VERSION,
                retry_total=1,
            ) as client:
                return question(client)
        except known.HttpResponseError as refused:
            raise self._refusal(refused) from refused
        except known.AzureError as error:
            place, url = "Azure Resource Manager", cloud.resource_manager
            fault = permanent_fault(place, url, error)
            raise fault or self._away(f"{error.message}{through_proxy(url)}") from error

    def _refusal(self, refused: "HttpResponseError") -> SlipwayError:
        code = str(refused.error.code if refused.error else "")
        said = str(refused.error.message if refused.error else refused.reason)
        status = refused.status_code or 0
        if code in NOT_OFFERED:
            return PermanentError(
                f"Azure Resource Manager does not offer version {API_VERSION} of AKS there ({code}): {said}",
                "Register it: az provider register --namespace Microsoft.ContainerService. In a cloud "
                "without that version, use `context` and `credentials` of the environment in place of `aks`.",
            )
        if status == HTTPStatus.NOT_FOUND:
            return SettingsError(
                f"The {self._itself} does not exist in the subscription {self.subscription} ({code}): {said}",
                "Correct the table `aks` of the environment.",
            )
        if status == HTTPStatus.UNAUTHORIZED:
            return CredentialsRefused(
                f"Azure Resource Manager refuses the token of the identity of [azure] ({code}): {said}",
                "Correct [azure] tenant, which must be the directory of the subscription, or [azure] cloud; "
                "check this machine's clock.",
            )
        if status == HTTPStatus.FORBIDDEN:
            return CredentialsRefused(
                f"The identity of [azure] may not read the {self._itself} ({code}): {said}",
                f'Give the identity of [azure] the role "{ROLE}" on the cluster. A new role may take 30 '
                "minutes to count.",
            )
        if "disable local accounts" in said:
            return SettingsError(
                f"The {self._itself} has neither local accounts nor a sign-in by Entra ID: {said}",
                self._enable_entra,
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._away(f"it answered {status} ({code}): {said}")
        return PermanentError(
            f"The {self._itself}: Azure Resource Manager answered {status} ({code}): {said}"
        )

    def _away(self, reason: object) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"Azure Resource Manager did not give the address of the AKS cluster {self.name}: {reason}",
            "Check that this machine reaches Azure Resource Manager, and try again.",
        )


def _plugin_arguments(content: dict[str, Any]) -> list[str]:
    return list(content["users"][0]["user"]["exec"]["args"])
