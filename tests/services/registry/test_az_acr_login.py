"""What the real `az acr login` gets of the stand-in for Azure's registry is what Slipway pushes with."""

import json
import uuid
from pathlib import Path

import pytest

from flows.services.process import tls
from flows.services.registry.auth import Credentials, always
from flows.services.registry.azure_login import TOKEN_USER
from flows.services.registry.client import Registry
from tests.stand_ins.acr import Acr, acr
from tests.stand_ins.arm_store import SUBSCRIPTION, arm_store
from tests.stand_ins.entra import entra
from tests.support import azure_cli
from tests.support.azure_cli import OPERATOR

pytestmark = [pytest.mark.slow, pytest.mark.apart, pytest.mark.platform, pytest.mark.xdist_group("azure-cli")]

NAME = "acmeslipway"


def described(registry: Acr) -> dict[str, object]:
    """As Azure Resource Manager knows the registry."""
    kind = "Microsoft.ContainerRegistry/registries"
    return {
        "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/{kind}/{NAME}",
        "name": NAME,
        "type": kind,
        "location": "westeurope",
        "sku": {"name": "Standard", "tier": "Standard"},
        "properties": {"loginServer": registry.address, "provisioningState": "Succeeded"},
    }


def test_the_token_of_az_acr_login_pushes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with entra() as directory, arm_store(directory) as arm, acr(directory) as registry:
        found = described(registry)
        arm.objects[str(found["id"]).lower()] = found
        registry.roles = {OPERATOR: {"AcrPush"}}
        az = azure_cli.ensure().in_cloud(arm, tmp_path)
        az.sign_in(directory)
        ended = az.run("az", "acr", "login", "--name", NAME, "--resource-group", "rg", "--expose-token")
        assert ended.returncode == 0, ended.stderr
        token = json.loads(ended.stdout)["refreshToken"]
        for name, value in directory.variables.items():
            monkeypatch.setenv(name, value)
        tls.authorities.cache_clear()
        login = always(Credentials(registry.address, TOKEN_USER, token))
        repository = Registry(registry.address, f"team/{uuid.uuid4().hex}", login)
        repository.attach("capsule", b"{}")
        assert repository.attached("capsule") == b"{}"
    tls.authorities.cache_clear()
