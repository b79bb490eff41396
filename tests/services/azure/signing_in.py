"""What tests of an identity have in common."""

from pathlib import Path

import pytest

from flows.services.azure.identity import AzureIdentity, Kind
from tests.stand_ins.entra import Entra

CLIENT = "aaaaaaaa-0000-0000-0000-000000000001"
ISSUER = "https://cluster.example.org/"
WORKER = "system:serviceaccount:ci:worker"


def identity(directory: Entra, kind: Kind, secret: str = "", client_id: str | None = CLIENT) -> AzureIdentity:
    """One of that directory; a service principal signs in with `secret`."""
    return AzureIdentity(
        kind, directory.cloud, directory.tenant, client_id, lambda: secret, own_authority=True
    )


def workload(directory: Entra, file: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> AzureIdentity:
    """A workload whose federated token in `file` is that one."""
    file.write_text(token)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    return identity(directory, "workload")


def install_az(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """`az` on PATH, as that shell script."""
    program = folder / "az"
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
