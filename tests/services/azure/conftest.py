"""A directory that a test may change, and the way of this process to it."""

from collections.abc import Iterator

import pytest

from tests.stand_ins.entra import SYSTEM_ASSIGNED, Entra, entra


@pytest.fixture(scope="module")
def _directory() -> Iterator[Entra]:
    with entra() as directory:
        yield directory


@pytest.fixture
def directory(_directory: Entra, monkeypatch: pytest.MonkeyPatch) -> Entra:
    """As it was made, and trusted. No identity comes from the environment of this process."""
    for registered in (_directory.secrets, _directory.expired, _directory.federated, _directory.certificates):
        registered.clear()
    _directory.machine, _directory.fail, _directory.lifetime = {SYSTEM_ASSIGNED}, [], 3600
    _directory.asked.clear()
    for name in ("AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in _directory.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", _directory.metadata)
    return _directory
