"""What of the platform runs, and what is live on it."""

import json
from dataclasses import dataclass
from typing import Any

from docker.errors import DockerException
from rich.console import Console
from rich.table import Table

from deployments.local import supervision
from deployments.local.commands import live, pinned
from deployments.local.commands.live import LiveFacts
from deployments.local.docker.engine import connect, list_containers
from deployments.local.instance import Instance
from deployments.local.network import dns_server, edge
from deployments.local.prefect import auth, triggers
from flows.config.load import Settings
from flows.core.errors import EngineUnavailable


@dataclass(frozen=True)
class Status:
    """The answer to `status`: addresses, what is live where, and what runs."""

    app_url: str
    prefect_url: str
    prefect_sign_in: str
    """The file with what Prefect's UI asks for."""
    registry: str
    hooks_url: str
    environments: dict[str, LiveFacts]
    addresses: dict[str, str]
    """Of each environment, for a browser on this machine."""
    pinned_model: str | None
    """The version that is wanted instead of the newest, if any is."""

    def to_json(self) -> str:
        """For programs."""
        content: dict[str, Any] = {
            "version": 1,
            "app_url": self.app_url,
            "prefect_url": self.prefect_url,
            "prefect_sign_in": self.prefect_sign_in,
            "registry": self.registry,
            "hooks_url": self.hooks_url,
            "pinned_model": self.pinned_model,
            "environments": {name: facts.to_json() for name, facts in self.environments.items()},
        }
        return json.dumps(content, indent=2)


def read(instance: Instance, settings: Settings) -> Status:
    """Everything as it is now; what does not answer is None."""
    addresses = {name: edge.browser_url(instance, settings, name) for name in settings.environments}
    return Status(
        app_url=[*addresses.values()][-1],
        prefect_url=f"http://127.0.0.1:{instance.ports.prefect_port}",
        prefect_sign_in=str(auth.file(instance)),
        registry=settings.registry.address,
        hooks_url=triggers.hooks_url(instance),
        environments={name: live.read(settings, name) for name in settings.environments},
        addresses=addresses,
        pinned_model=pinned.version(instance, settings),
    )


def show(instance: Instance, status: Status, console: Console) -> None:
    """For people."""
    table = Table("part", "state", "where", title=f"Platform {instance.name}", title_justify="left")
    for name, state, where in _parts(instance, status):
        table.add_row(name, state, where)
    console.print(table)
    lives = Table("environment", "commit", "model", "image", "ready", title="Live", title_justify="left")
    for name, facts in status.environments.items():
        lives.add_row(name, *described(facts))
    console.print(lives)
    if status.pinned_model is not None:
        console.print(f"Model {status.pinned_model} is pinned, until `slipway model unpin`.")


def described(facts: LiveFacts) -> tuple[str, str, str, str]:
    """Commit, model, image and readiness, as a person names them."""
    if facts.digest is None:
        return "-", "-", "nothing is live", "-"
    return (
        (facts.commit or "?")[:7],
        f"{facts.model.name} {facts.model.version}",
        facts.digest[: len("sha256:") + 12],
        f"{facts.ready} of {facts.replicas}",
    )


def _parts(instance: Instance, status: Status) -> list[tuple[str, str, str]]:
    places = {
        "registry": status.registry,
        "blob-store": f"127.0.0.1:{instance.ports.blob_store_port}",
        "database": f"127.0.0.1:{instance.ports.database_port}",
        "control-plane": f"127.0.0.1:{instance.ports.kubernetes_port}",
        "edge": ", ".join(f"{name} {url}" for name, url in status.addresses.items()),
        "dns": f"{dns_server.address(instance)}, for *.{dns_server.DOMAIN}",
        "prefect-server": f"{status.prefect_url}, signing in with the line in {status.prefect_sign_in}",
        "receiver": f"{status.hooks_url}/hooks/github, /hooks/azure-devops",
    }
    states = [(p.name, f"{p.state.lower()}, {p.description}") for p in supervision.states(instance)]
    return [(name, state, places.get(name, "")) for name, state in (*states, *_containers(instance))]


def _containers(instance: Instance) -> list[tuple[str, str]]:
    try:
        containers = list_containers(connect(), instance)
    except (EngineUnavailable, DockerException) as error:
        return [("docker", str(error))]
    return sorted((str(c.name).removeprefix(f"{instance.name}-"), c.status) for c in containers)
