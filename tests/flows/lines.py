"""A team's line for the tests of one file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect_docker.credentials import DockerRegistryCredentials
from pydantic import SecretStr

from flows.config import load as configuration
from flows.credentials import prefect_blocks
from tests.flows.conftest import Line, new_line
from tests.flows.environments import Place
from tests.support.platform_under_test import PlatformUnderTest


def registry_through(port: int, block: str) -> dict[str, str]:
    """The variables that lead a line's runs to the registry through that port of this machine."""
    settings = configuration.load()
    login = prefect_blocks.registry_login(settings.registry, settings.azure)()
    assert login
    address = f"localhost:{port}"
    DockerRegistryCredentials(
        registry_url=address, username=login.username, password=SecretStr(login.password)
    ).save(block, overwrite=True)
    return {"SLIPWAY_REGISTRY__ADDRESS": address, "SLIPWAY_REGISTRY__CREDENTIALS": block}


@contextmanager
def line_with_image(platform: PlatformUnderTest, folder: Path, *places: Place) -> Iterator[Line]:
    """One with a first good image; those environments are empty then, and afterwards again.

    The variables that it sets hold as long as the context.
    """
    with pytest.MonkeyPatch.context() as variables:
        line = new_line(platform, folder / "team", variables)
        for place in places:
            place.empty()
        line.mint()
        yield line
        for place in places:
            place.empty()
