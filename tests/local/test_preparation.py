"""What `make run` finds missing in the embedded cluster it makes again; where all is there, nothing."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.local.cluster import kubernetes_binary, preparation
from deployments.local.platform_file import WrittenSettings
from deployments.local.stores.registry import RegistryAccess
from flows.config.load import CHECKOUT
from flows.services.kubernetes import kubeconfig as kubeconfigs
from flows.services.kubernetes.cluster import Cluster
from flows.services.process.files import write_private
from tests.support.platform_under_test import PlatformUnderTest

pytestmark = pytest.mark.exclusive

ENVIRONMENT = "staging"


def kubectl(platform: PlatformUnderTest, *arguments: str) -> None:
    program = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    access = (f"--kubeconfig={platform.kubeconfig}", f"--namespace={ENVIRONMENT}")
    subprocess.run([program, *access, *arguments], check=True, timeout=60)


def save_block(platform: PlatformUnderTest, value: str) -> None:
    program = "import sys; from prefect.blocks.system import Secret; "
    program += f"Secret(value=sys.stdin.read()).save('slipway-{ENVIRONMENT}', overwrite=True)"
    subprocess.run(
        [sys.executable, "-c", program],
        input=value,
        env=platform.environment,
        cwd=CHECKOUT,
        text=True,
        check=True,
        timeout=60,
    )


def lead_elsewhere(platform: PlatformUnderTest) -> None:
    """As after the platform was made anew on other ports."""
    block = platform.api.block("secret", f"slipway-{ENVIRONMENT}")
    assert block
    server = kubeconfigs.parsed(block["value"], "")["clusters"][0]["cluster"]["server"]
    save_block(platform, block["value"].replace(server, "https://127.0.0.1:9"))


DAMAGES: dict[str, Callable[[PlatformUnderTest], None]] = {
    "namespace of an older edition": lambda p: kubectl(
        p, "annotate", "--overwrite", f"namespace/{ENVIRONMENT}", "slipway.dev/prepared=before"
    ),
    "pull secret": lambda p: kubectl(p, "delete", "secret/slipway-registry"),
    "Lease": lambda p: kubectl(p, "delete", "lease/slipway-release"),
    "fence": lambda p: kubectl(p, "delete", f"validatingadmissionpolicybinding/slipway-fence-{ENVIRONMENT}"),
    "policy over secrets": lambda p: kubectl(
        p, "delete", f"validatingadmissionpolicy/slipway-secrets-{ENVIRONMENT}"
    ),
    "account, and with it its token": lambda p: kubectl(p, "delete", "serviceaccount/slipway-release"),
    "block that holds a kubeconfig": lambda p: save_block(p, "nothing of use"),
    "block that leads here": lead_elsewhere,
}


@pytest.mark.parametrize("missing", DAMAGES)
def test_what_is_missing_is_made_again(
    platform: PlatformUnderTest,
    settings: WrittenSettings,
    registry: RegistryAccess,
    tmp_path: Path,
    missing: str,
) -> None:
    def ensure() -> list[str]:
        said: list[str] = []
        preparation.ensure(platform.instance, settings, platform.kubeconfig, registry, said.append)
        return said

    DAMAGES[missing](platform)
    assert ensure() == [f"python -m deployments.cluster.bootstrap {ENVIRONMENT}"]
    assert ensure() == []
    account(platform, tmp_path).require_fence()


def account(platform: PlatformUnderTest, folder: Path) -> Cluster:
    """The cluster as the block's kubeconfig leads to it."""
    block = platform.api.block("secret", f"slipway-{ENVIRONMENT}")
    assert block
    write_private(folder / "kubeconfig", block["value"])
    context = kubeconfigs.context_of(block["value"], ENVIRONMENT)
    return Cluster(folder / "kubeconfig", context, ENVIRONMENT, "classifier")
