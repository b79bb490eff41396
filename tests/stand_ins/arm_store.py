"""Stands in for Azure Resource Manager: it keeps what is put, and gives it back as created.

The real `az` registers it as a cloud of its own, signs in at the stand-in for Entra ID, and works as against
Azure. It shows what `az` sends. It does not show that Azure would accept it: checked are only the sign-in,
that what a resource lies in exists, and that no role is assigned twice.
"""

import json
import re
import ssl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import jwt

from tests.stand_ins.entra import Entra
from tests.stand_ins.http_server import QuietHandler, serving

SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"
AUDIENCE = "https://management.azure.com"
ISSUER = "https://westeurope.oic.example.org/cluster/"
"""Of the tokens of service accounts, as every cluster here says."""

ROLES = {
    "AcrDelete": "c2f4ef07-c644-48eb-af81-4b1b4947fb11",
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "Azure Kubernetes Service Cluster User Role": "4abbcc35-e782-43d8-92c5-2d3f1bd2253f",
    "Azure Kubernetes Service RBAC Cluster Admin": "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
}
"""Built-in roles and their ids: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles"""

Json = dict[str, Any]
Answer = tuple[int, Json | None]


class Sent(NamedTuple):
    """One request that changes something; the path is as it was written."""

    method: str
    path: str
    body: Json


@dataclass
class ArmStore:
    """One subscription. `objects` are its resources by their path in lower case."""

    entra: Entra
    url: str = ""
    objects: dict[str, Json] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)

    def named(self, kind: str, name: str) -> Json:
        """The resource of that type and name, as `managedClusters`, `acme`."""
        return next(one for path, one in self.objects.items() if path.endswith(f"/{kind}/{name}".lower()))

    def principal(self, identity: str) -> str:
        """The object id of a user-assigned identity in the directory."""
        return self.entra.object_id(_client_id(identity))

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Answer:
        """What is answered to a request that is signed in."""
        key = path.lower()
        if (fixed := self._fixed(key, query)) is not None:
            return 200, fixed
        match method:
            case "PUT" | "PATCH":
                return self._put(path, body, replace=method == "PUT")
            case "DELETE":
                gone = [one for one in self.objects if one == key or one.startswith(f"{key}/")]
                for one in gone:
                    del self.objects[one]
                return (200 if gone else 204), None
            case "HEAD":
                return (204 if key in self.objects else 404), None
            case "GET" if key in self.objects:
                return 200, self.objects[key]
            case "GET" if (members := self._members(key, query)) is not None:
                return 200, {"value": members}
            case "GET":
                return 404, _refusal("ResourceNotFound", f"The resource {path} was not found.")
        return 200, {}

    def _fixed(self, key: str, query: dict[str, str]) -> Json | None:
        """What a subscription has from the beginning: itself, resource providers, built-in roles."""
        if key == f"/subscriptions/{SUBSCRIPTION}":
            return self._subscription()
        if key == "/subscriptions":
            return {"value": [self._subscription()]}
        if key == "/tenants":
            return {"value": [{"id": f"/tenants/{self.entra.tenant}", "tenantId": self.entra.tenant}]}
        if provider := re.fullmatch(rf"/subscriptions/{SUBSCRIPTION}/providers/([^/]+)(/register)?", key):
            return {"namespace": provider[1], "registrationState": "Registered", "resourceTypes": []}
        if key.endswith("/roledefinitions"):
            asked = re.search(r"roleName eq '([^']*)'", query.get("$filter", ""))
            return {
                "value": [_role(name) for name in ROLES if asked is None or name.lower() == asked[1].lower()]
            }
        return None

    def _subscription(self) -> Json:
        return {
            "id": f"/subscriptions/{SUBSCRIPTION}",
            "subscriptionId": SUBSCRIPTION,
            "tenantId": self.entra.tenant,
            "displayName": "A subscription of the test",
            "state": "Enabled",
        }

    def _put(self, path: str, body: Json, *, replace: bool) -> Answer:
        key = path.lower()
        if (above := _above(key)) is not None and above not in self.objects:
            return 404, _refusal("ParentResourceNotFound", f"There is no {above}.")
        if "/roleassignments/" in key and self._is_assigned(key, body):
            return 409, _refusal("RoleAssignmentExists", "The role assignment already exists.")
        before = {} if replace else self.objects.get(key, {})
        properties = {**before.get("properties", {}), **body.get("properties", {})}
        kept = {**before, **body, "properties": properties}
        kept |= {"id": path, "name": path.rsplit("/", 1)[-1], "type": _type(path)}
        kept["properties"]["provisioningState"] = "Succeeded"
        self._as_azure_adds(kept)
        self.objects[key] = kept
        return 200, kept

    def _is_assigned(self, key: str, body: Json) -> bool:
        scope = key.rpartition("/providers/")[0]
        wanted = _assignment(body)
        return any(
            _assignment(one) == wanted
            for path, one in self.objects.items()
            if path != key and path.startswith(f"{scope}/providers/microsoft.authorization/roleassignments/")
        )

    def _as_azure_adds(self, resource: Json) -> None:
        properties, name = resource["properties"], resource["name"]
        match resource["type"].rpartition("/")[2]:
            case "roleAssignments":
                properties["scope"] = resource["id"].rpartition("/providers/")[0]
            case "storageAccounts":
                service = f"{resource['id']}/blobServices/default"
                self.objects.setdefault(service.lower(), {"id": service, "name": "default", "properties": {}})
            case "registries":
                properties["loginServer"] = f"{name}.azurecr.localhost"
            case "userAssignedIdentities":
                properties["clientId"] = _client_id(name)
                properties["principalId"] = self.principal(name)
                properties["tenantId"] = self.entra.tenant
            case "managedClusters":
                issuer = {"issuerURL": ISSUER}
                properties["oidcIssuerProfile"] = properties.get("oidcIssuerProfile", {}) | issuer
                properties["identityProfile"] = {
                    "kubeletidentity": {"objectId": self.principal(f"{name}-agentpool"), "clientId": "-"}
                }
                resource["identity"] = {"type": "SystemAssigned", "principalId": self.principal(name)}

    def _members(self, key: str, query: dict[str, str]) -> list[Json] | None:
        """Those of a collection; None where the path names none."""
        if key.endswith("/resources"):
            group = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{_filtered('resourceGroup', query)}"
            whole = re.compile(rf"{re.escape(group)}/providers/[^/]+/[^/]+/[^/]+")
            return [one for path, one in self.objects.items() if whole.fullmatch(path)]
        provider = "/providers/" in key
        names = key.rpartition("/providers/")[2].split("/")[1:] if provider else key[1:].split("/")
        if len(names) % 2 == 0:
            return None
        scope = key.rpartition("/providers/" if provider else "/")[0]
        return [
            one
            for path, one in self.objects.items()
            if path.startswith(f"{scope}/") and path.split("/")[-2] == names[-1]
        ]


def _filtered(name: str, query: dict[str, str]) -> str:
    """The value of that name in `$filter`, in lower case."""
    found = re.search(rf"{name} eq '([^']*)'", query.get("$filter", ""))
    return found[1].lower() if found else ""


def _type(path: str) -> str:
    """As `Microsoft.Storage/storageAccounts/blobServices`."""
    if "/providers/" not in path:
        return "Microsoft.Resources/resourceGroups"
    provider, *below = path.rpartition("/providers/")[2].split("/")
    return "/".join([provider, *below[::2]])


def _above(key: str) -> str | None:
    """The resource or group that has to be there first; None for a group."""
    if "/providers/" not in key:
        return None
    scope, _, below = key.rpartition("/providers/")
    parts = below.split("/")
    if "/roleassignments/" in key or len(parts) <= 3:
        return scope
    return f"{scope}/providers/{'/'.join(parts[:-2])}"


def _role(name: str) -> Json:
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{ROLES[name]}"
    return {"id": path, "name": ROLES[name], "properties": {"roleName": name, "type": "BuiltInRole"}}


def _assignment(resource: Json) -> tuple[str, str]:
    properties = resource["properties"]
    return properties["principalId"], properties["roleDefinitionId"].rsplit("/", 1)[-1]


def _client_id(identity: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, identity))


def _refusal(code: str, message: str) -> Json:
    return {"error": {"code": code, "message": message}}


def _endpoints(url: str, entra: Entra) -> Json:
    """What `az cloud register` asks for."""
    suffixes = (
        "storage keyVaultDns mhsmDns sqlServerHostname synapseAnalytics mysqlServerEndpoint "
        "postgresqlServerEndpoint mariadbServerEndpoint storageSyncEndpointSuffix attestationEndpoint "
        "azureDataLakeStoreFileSystem azureDataLakeAnalyticsCatalogAndJob"
    )
    here = (
        "portal resourceManager graph graphAudience microsoftGraphResourceId gallery batch media "
        "activeDirectoryDataLake"
    )
    sign_in = {
        "loginEndpoint": entra.url,
        "audiences": [AUDIENCE],
        "tenant": "common",
        "identityProvider": "AAD",
    }
    return {
        "name": "StandIn",
        **dict.fromkeys(here.split(), url),
        "authentication": sign_in,
        "suffixes": dict.fromkeys(suffixes.split(), "localhost") | {"acrLoginServer": "azurecr.localhost"},
    }


@contextmanager
def arm_store(entra: Entra) -> Iterator[ArmStore]:
    """An empty subscription of that directory, on loopback, with the certificate of its server."""
    store = ArmStore(entra)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(entra.folder / "server.crt", entra.folder / "server.key")

    class Manager(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(content) if content.startswith(b"{") else {}
            address = urlsplit(self.path)
            if address.path == "/metadata/endpoints":
                return self._give(200, _endpoints(store.url, entra))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            try:
                jwt.decode(token, entra.public_key, ["RS256"], audience=[AUDIENCE, f"{AUDIENCE}/", store.url])
            except jwt.PyJWTError as error:
                return self._give(401, _refusal("InvalidAuthenticationToken", str(error)))
            path = address.path.rstrip("/")
            if self.command in {"PUT", "PATCH", "DELETE"}:
                store.sent.append(Sent(self.command, path, body))
            return self._give(*store.answer(self.command, path, dict(parse_qsl(address.query)), body))

        do_PUT = do_PATCH = do_POST = do_DELETE = do_HEAD = do_GET

        def _give(self, status: int, content: Json | None) -> None:
            body = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Manager, tls) as url:
        store.url = url.replace("127.0.0.1", "localhost")
        yield store
