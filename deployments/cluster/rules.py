"""What the settings say of one environment's namespace, as the templates in `kubernetes/cluster` take it."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from flows.config.load import Settings
from flows.config.schema import Egress, Quota
from flows.services.kubernetes.account import LOGIN

METADATA = (ip_address("169.254.169.254"), ip_address("fd00:ec2::254"))
"""Where clouds give a machine, and every pod on it, the machine's identity; the latter is AWS's by IPv6."""

TAG, DIGEST = "[A-Za-z0-9_][A-Za-z0-9._-]*", "sha256:[0-9a-f]{64}"
SEGMENT = "[^/:@]*"
"""What `*` stands for in a pattern."""


@dataclass(frozen=True)
class Rules:
    """`repository`, with its registry, is the app's; the rest is as slipway.toml says of the environment."""

    environment: str
    namespace: str
    repository: str
    allowed_images: Sequence[str] = ()
    service_accounts: Sequence[str] = ()
    egress: Sequence[Egress] = ()
    quota: Quota = field(default_factory=Quota)
    login: str | None = None

    @property
    def values(self) -> Mapping[str, str]:
        """What is put into the templates, by name; lists as JSON, which is also YAML and CEL."""
        images = [own_image(self.repository), *map(image_pattern, self.allowed_images)]
        return {
            "environment": self.environment,
            "namespace": self.namespace,
            "repository": self.repository,
            "images": json.dumps(images),
            "accounts": json.dumps(list(self.service_accounts)),
            "egress": json.dumps([egress_rule(one) for one in self.egress]),
            "quota": json.dumps(hard(self.quota)),
            "container_memory": json.dumps(self.quota.container_memory),
            "logins": json.dumps([self._login]),
        }

    @property
    def _login(self) -> Mapping[str, str]:
        """Who may create tokens of the account that releases: a subject of rbac.authorization.k8s.io/v1."""
        if self.login is None:
            return {"kind": "ServiceAccount", "name": LOGIN, "namespace": self.namespace}
        return {"kind": "User", "name": self.login, "apiGroup": "rbac.authorization.k8s.io"}

    @property
    def edition(self) -> str:
        """A hash of `values`."""
        return hashlib.sha256(json.dumps(self.values, sort_keys=True).encode()).hexdigest()[:16]


def rules_of(settings: Settings, environment: str) -> Rules:
    """Those of an environment."""
    wanted = settings.environment(environment)
    return Rules(
        environment,
        wanted.namespace,
        f"{settings.registry.address}/{settings.registry.repository}",
        wanted.allowed_images,
        wanted.service_accounts,
        wanted.egress,
        wanted.quota,
        wanted.login,
    )


def own_image(repository: str) -> str:
    """The regular expression (RE2) of an image of the app: by digest."""
    return f"^{re.escape(repository)}@{DIGEST}$"


def image_pattern(allowed: str) -> str:
    """The regular expression (RE2) of what an entry of `allowed_images` lets in.

    An entry without a tag or a digest lets in all of them.
    """
    name, at, digest = allowed.partition("@")
    start = name.rfind("/") + 1
    last, colon, tag = name[start:].partition(":")
    tag = f":{_wild(tag)}" if colon else f"(:{TAG})?"
    digest = f"@{digest}" if at else f"(@{DIGEST})?"
    return f"^{_wild(name[:start] + last)}{tag}{digest}$"


def egress_rule(egress: Egress) -> dict[str, Any]:
    """As NetworkPolicy (networking.k8s.io/v1) has it; a wider network leaves clouds' metadata out."""
    if egress.namespace is not None:
        labels = {"kubernetes.io/metadata.name": egress.namespace}
        peer: dict[str, Any] = {"namespaceSelector": {"matchLabels": labels}}
    else:
        network = ip_network(str(egress.cidr))
        closed = [str(ip_network(one)) for one in METADATA if one in network and network.num_addresses > 1]
        peer = {"ipBlock": {"cidr": str(network), **({"except": closed} if closed else {})}}
    ports = [{"port": port, "protocol": egress.protocol} for port in egress.ports]
    return {"to": [peer], **({"ports": ports} if ports else {})}


def hard(quota: Quota) -> dict[str, str]:
    """As ResourceQuota (v1) has it."""
    limits = {"pods": str(quota.pods), "requests.cpu": quota.cpu, "requests.memory": quota.memory}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _wild(pattern: str) -> str:
    return SEGMENT.join(map(re.escape, pattern.split("*")))
