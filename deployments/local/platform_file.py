"""What the flows have to know about the embedded platform: platform.toml and prefect.toml.

Only what slipway.toml leaves to the platform is filled in; a registry, base image or cluster that it names
otherwise stays as it is.
"""

import tomllib
from pathlib import Path
from threading import Lock
from typing import Any

import tomli_w

from deployments.local.instance import Instance
from deployments.local.network import dns_server, edge
from deployments.local.prefect.server import client_settings
from flows.config.load import CHECKOUT, Settings, config_file
from flows.core.errors import SettingsError
from flows.services.process.files import private_folder, write_atomically, write_private

LOOPBACK = ("localhost:", "127.0.0.1:")
PUBLIC_BASE_IMAGE = "python:3.11-slim-bookworm"
"""What slipway.toml names, for machines that reach Docker Hub; the platform's own base image replaces it."""

SAMPLES = ("classifier", "digits")
"""The models that come with the project; slipway.toml names the first."""

STATE_MARK = ".slipway-state"

_lock = Lock()


class WrittenSettings(Settings):
    """slipway.toml and variables alone: what a person asked for."""

    @classmethod
    def files(cls) -> tuple[Path, ...]:
        """slipway.toml alone, without platform.toml."""
        return (config_file(),)


def wants_registry(written: WrittenSettings) -> bool:
    """Whether images go to the platform's own registry."""
    return written.registry.address.startswith(LOOPBACK)


def forget_stale(instance: Instance, written: WrittenSettings) -> None:
    """Delete what an earlier run filled in and slipway.toml now says itself."""
    file = _file(instance)
    if not file.exists():
        return
    content = tomllib.loads(file.read_text())
    if not wants_registry(written):
        content.pop("registry", None)
    if not wants_registry(written) or written.app.base_image != PUBLIC_BASE_IMAGE:
        content.pop("app", None)
    if written.model.name != SAMPLES[0]:
        content.pop("model", None)
    kept = content.get("environments", {}).keys() & set(edge.served(written))
    content["environments"] = {name: content["environments"][name] for name in sorted(kept)}
    if not kept:
        content.pop("kubectl", None)
    _replace(file, content)


def add_registry(
    instance: Instance, written: WrittenSettings, address: str, base_image: str, platform: str = ""
) -> None:
    """Images go there, and are built from that base (a name with a digest), which has that platform."""
    twin = f"localhost:{instance.ports.registry_pull_port}"
    registry = {"address": address, "pull_address": twin, "insecure": True}
    content: dict[str, Any] = {"registry": registry}
    if written.app.base_image == PUBLIC_BASE_IMAGE:
        content["app"] = {"base_image": base_image} | ({"platform": platform} if platform else {})
    _add(instance, content)


def choose_sample(instance: Instance, written: WrittenSettings, sample: str) -> None:
    """The model of that name is served from now on; `SettingsError` where slipway.toml names a team's own."""
    if written.model.name != SAMPLES[0]:
        raise SettingsError(
            f"[model] name in slipway.toml is {written.model.name!r}, which is none of the samples.",
            f"Write {SAMPLES[0]!r} there, or leave the sample out.",
        )
    _add(instance, {"model": {"name": sample}})


def add_cluster(instance: Instance, written: WrittenSettings, kubeconfig: Path, kubectl: Path) -> None:
    """Environments on the embedded cluster are reached with that kubeconfig, and answer at the edge."""
    reached = {
        name: {
            "kubeconfig": str(kubeconfig),
            "public_url": edge.public_url(instance, name),
            "resolver": dns_server.address(instance),
            "load_balancer": [dns_server.EDGE],
        }
        for name in edge.served(written)
    }
    _add(instance, {"kubectl": str(kubectl), "environments": reached})


def write_command_line(instance: Instance) -> None:
    """prefect.toml, through which `.venv/bin/prefect` in this checkout talks to its main platform."""
    if is_main(instance):
        write_private(command_line_file(), _toml(client_settings(instance)).encode())


def mark_state_folder(folder: Path) -> None:
    """Make the folder, for this user alone, and mark it as one that may be deleted as a whole."""
    private_folder(folder)
    (folder / STATE_MARK).touch()


def is_state_folder(folder: Path) -> bool:
    """Whether it was made for a platform: SLIPWAY_STATE may name anything."""
    return (folder / STATE_MARK).exists()


def is_main(instance: Instance) -> bool:
    """Whether it is the one that `make run` brings up, not one of the tests'."""
    return instance.state == CHECKOUT / ".slipway"


def command_line_file() -> Path:
    """What `.venv/bin/prefect` reads in this checkout."""
    return CHECKOUT / "prefect.toml"


def _file(instance: Instance) -> Path:
    return instance.state / "platform.toml"


def _add(instance: Instance, tables: dict[str, Any]) -> None:
    """Put these tables into platform.toml in place of those it has."""
    with _lock:
        file = _file(instance)
        present = tomllib.loads(file.read_text()) if file.exists() else {}
        _replace(file, present | tables)


def _replace(file: Path, content: dict[str, Any]) -> None:
    write_atomically(file, _toml(content).encode())  # a flow run may be reading it


def _toml(content: dict[str, Any]) -> str:
    return "# Written by `make run`; changes are lost.\n" + tomli_w.dumps(content)
