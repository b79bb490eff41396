"""What the flows have to know about the embedded platform: platform.toml and prefect.toml.

Only what slipway.toml leaves to the platform is filled in; a registry, base image or cluster that it names
otherwise stays as it is.
"""

from pathlib import Path
from typing import Any

import tomli_w
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, TomlConfigSettingsSource

from deployments.local.instance import Instance
from deployments.local.prefect_server import client_settings
from flows.settings import CHECKOUT, EMBEDDED, Settings, config_file, platform_file

LOOPBACK = ("localhost:", "127.0.0.1:")
PUBLIC_BASE_IMAGE = "python:3.11-slim-bookworm"
"""Stands in slipway.toml for machines that reach Docker Hub; here ours takes its place."""


class WrittenSettings(Settings):
    """slipway.toml and variables alone: what a person asked for."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Without platform.toml."""
        return env_settings, TomlConfigSettingsSource(settings_cls, config_file())


def wants_registry(written: WrittenSettings) -> bool:
    """Whether images go to the platform's own registry."""
    return written.registry.address.startswith(LOOPBACK)


def write(
    instance: Instance,
    written: WrittenSettings,
    *,
    base_image: str | None,
    kubeconfig: Path | None,
    kubectl: Path | None,
) -> None:
    """platform.toml, and prefect.toml for the command line if this is the checkout's main platform."""
    content: dict[str, Any] = {}
    if kubectl is not None:
        content["kubectl"] = str(kubectl)
    if wants_registry(written):
        content["registry"] = {
            "address": f"localhost:{instance.ports.registry_port}",
            "insecure": True,
        }
    if base_image is not None and written.app.base_image == PUBLIC_BASE_IMAGE:
        content["app"] = {"base_image": base_image}
    if kubeconfig is not None:
        content["environments"] = {
            name: {
                "kubeconfig": str(kubeconfig),
                "public_url": f"http://127.0.0.1:{instance.ports.app_port}",
            }
            for name, environment in written.environments.items()
            if environment.context == EMBEDDED
        }
    _replace(platform_file(), content)
    if is_main(instance):
        _replace(command_line_file(), client_settings(instance))


def is_main(instance: Instance) -> bool:
    """Whether it is the one that `make run` brings up, not one of the tests'."""
    return instance.state == CHECKOUT / ".slipway"


def command_line_file() -> Path:
    """What `.venv/bin/prefect` reads in this checkout."""
    return CHECKOUT / "prefect.toml"


def _replace(file: Path, content: dict[str, Any]) -> None:
    """Written beside and renamed: a flow run may be reading it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".new")
    beside.write_text("# Written by `make run`; changes are lost.\n" + tomli_w.dumps(content))
    beside.replace(file)
