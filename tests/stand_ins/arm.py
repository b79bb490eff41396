"""Stands in for Azure Resource Manager where it knows AKS clusters; its tokens are the other stand-in's."""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import yaml

from flows.services.azure.aks import AksCluster
from tests.stand_ins.entra import Entra
from tests.stand_ins.http_server import QuietHandler, serving
from tests.stand_ins.server_certificate import certified

SUBSCRIPTION, GROUP, CLUSTER = "22222222-2222-2222-2222-222222222222", "rg", "prod"
SERVER_ID = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""The application of all AKS API servers that take tokens of Entra ID."""

KUBELET = f"{CLUSTER}-agentpool"

RESOURCE = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)"
    r"/providers/microsoft.containerservice/managedclusters/(?P<cluster>[^/]+)(?P<action>/.*)?",
    re.IGNORECASE,
)

Answer = tuple[int, dict[str, Any], dict[str, str]]
"""Status, JSON and headers."""


@dataclass
class Arm:
    """One subscription with one cluster; a test changes it while it serves.

    `server` and `authority` (PEM) are the API server's. `users` are the client ids with the role of cluster
    users. `fail` are the answers to the next requests.
    """

    directory: Entra
    server: str = "https://127.0.0.1:9"
    authority: bytes = b""
    power: str = "Running"
    has_entra: bool = True
    has_local_accounts: bool = False
    users: set[str] = field(default_factory=set)
    fail: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def cluster(self, client_id: str, name: str = CLUSTER) -> AksCluster:
        """A cluster of that name as an application of the directory sees it."""
        identity = self.directory.identity(client_id)
        cloud = replace(
            identity.cloud, resource_manager=self.url, resource_manager_scope=f"{self.url}/.default"
        )
        return AksCluster(replace(identity, cloud=cloud), SUBSCRIPTION, GROUP, name)

    def answer(self, path: str, query: dict[str, str], authorization: str) -> Answer:
        """What is answered to a request."""
        try:
            token = authorization.removeprefix("Bearer ")
            claims = jwt.decode(token, self.directory.public_key, ["RS256"], audience=self.url)
        except jwt.PyJWTError as error:
            return refusal(401, "InvalidAuthenticationToken", f"The access token is invalid: {error}.")
        if self.fail:
            return self.fail.pop(0)
        named = RESOURCE.fullmatch(path)
        if named is None or named["subscription"] != SUBSCRIPTION:
            return refusal(404, "SubscriptionNotFound", "The subscription could not be found.")
        if claims["appid"] not in self.users:
            return refusal(
                403,
                "AuthorizationFailed",
                f"The client '{claims['appid']}' with object id '{claims['oid']}' does not have "
                "authorization to perform action 'Microsoft.ContainerService/managedClusters/read' over "
                f"scope '{path}' or the scope is invalid.",
            )
        if (named["group"], named["cluster"]) != (GROUP, CLUSTER):
            return refusal(404, "ResourceNotFound", f"The Resource '{named['cluster']}' was not found.")
        if (named["action"] or "").lower() == "/listclusterusercredential":
            return self._credentials(query.get("format", "azure"))
        return 200, self._described(path), {}

    def _described(self, path: str) -> dict[str, Any]:
        kubelet = {"resourceId": f"/subscriptions/{SUBSCRIPTION}/x/{KUBELET}", "objectId": "object-7"}
        properties = {
            "provisioningState": "Succeeded",
            "powerState": {"code": self.power},
            "disableLocalAccounts": not self.has_local_accounts,
            "identityProfile": {"kubeletidentity": kubelet},
        }
        return {"id": path, "name": CLUSTER, "location": "westeurope", "properties": properties}

    def _credentials(self, form: str) -> Answer:
        if not self.has_entra and not self.has_local_accounts:
            return refusal(
                400,
                "BadRequest",
                "Getting static credential is not allowed because this cluster is set to disable local "
                "accounts.",
            )
        content = base64.b64encode(yaml.safe_dump(self._kubeconfig(form)).encode()).decode()
        return 200, {"kubeconfigs": [{"name": "clusterUser", "value": content}]}, {}

    def _kubeconfig(self, form: str) -> dict[str, Any]:
        arguments = ["get-token", "--login", "devicecode", "--server-id", SERVER_ID]
        plugin = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin"}
        user: dict[str, Any] = {"exec": {**plugin, "args": arguments}}
        if form == "azure":
            user = {"auth-provider": {"name": "azure", "config": {"apiserver-id": SERVER_ID}}}
        if not self.has_entra:
            user = {"token": "of a local account"}
        authority = base64.b64encode(self.authority).decode()
        reached = {"server": self.server, "certificate-authority-data": authority}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CLUSTER,
            "clusters": [{"name": CLUSTER, "cluster": reached}],
            "users": [{"name": "clusterUser", "user": user}],
            "contexts": [{"name": CLUSTER, "context": {"cluster": CLUSTER, "user": "clusterUser"}}],
        }


def refusal(status: int, code: str, said: str, **headers: str) -> Answer:
    """As Resource Manager refuses."""
    return status, {"error": {"code": code, "message": said}}, headers


@contextmanager
def arm(directory: Entra, hosts: tuple[str, ...] = ()) -> Iterator[Arm]:
    """Such a Resource Manager, by HTTPS on loopback; the directory's bundle trusts its certificate.

    `hosts` are further names that its certificate is for.
    """
    found = Arm(directory)

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            address = urlsplit(self.path)
            found.asked.append((self.command, address.path))
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            status, content, headers = found.answer(
                address.path, query, self.headers.get("Authorization", "")
            )
            body = json.dumps(content).encode()
            self.send_response(HTTPStatus(status))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = respond

    with serving(Handler, certified(directory.folder, "arm", hosts)) as address:
        found.url = address.replace("127.0.0.1", "localhost")
        yield found
