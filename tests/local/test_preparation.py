"""What `make run` finds missing in the embedded cluster it makes again; where all is there, nothing."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from deployments.local.cluster import kubernetes_binary, preparation
from deployments.local.platform_file import WrittenSettings
from deployments.local.stores.registry import RegistryAccess
from flows.config.load import CHECKOUT
from flows.services.kubernetes import kubeconfig as kubeconfigs
from flows.services.kubernetes.account import as_releasing
from flows.services.kubernetes.cluster import Cluster
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.rows import rest_slow

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
    """As after the platform was made again on other ports."""
    block = platform.api.block("secret", f"slipway-{ENVIRONMENT}")
    assert block
    server = kubeconfigs.access(block["value"], "").server
    save_block(platform, block["value"].replace(server, "https://127.0.0.1:9"))


DAMAGES: dict[str, Callable[[PlatformUnderTest], None]] = {
    "namespace of an older edition": lambda p: kubectl(
        p, "annotate", "--overwrite", f"namespace/{ENVIRONMENT}", "slipway.dev/prepared=before"
    ),
    "pull secret": lambda p: kubectl(p, "delete", "secret/slipway-registry"),
    "Lease": lambda p: kubectl(p, "delete", "lease/slipway-release"),
    "fence": lambda p: kubectl(p, "delete", f"validatingadmissionpolicybinding/slipway-fence-{ENVIRONMENT}"),
    "namespace of other rules": lambda p: kubectl(
        p, "annotate", "--overwrite", f"namespace/{ENVIRONMENT}", "slipway.dev/rules=before"
    ),
    "policy over pods": lambda p: kubectl(
        p, "delete", f"validatingadmissionpolicybinding/slipway-pods-{ENVIRONMENT}"
    ),
    "network policy": lambda p: kubectl(p, "delete", "networkpolicy/slipway-egress"),
    "quota": lambda p: kubectl(p, "delete", "resourcequota/slipway"),
    "policy over secrets": lambda p: kubectl(
        p, "delete", f"validatingadmissionpolicy/slipway-secrets-{ENVIRONMENT}"
    ),
    "login, and with it its token": lambda p: kubectl(p, "delete", "serviceaccount/slipway-login"),
    "account that releases": lambda p: kubectl(p, "delete", "serviceaccount/slipway-release"),
    "block that holds a kubeconfig": lambda p: save_block(p, "nothing of use"),
    "block that leads here": lead_elsewhere,
}


@pytest.mark.parametrize("missing", rest_slow(list(DAMAGES), 5))
def test_what_is_missing_is_made_again(
    platform: PlatformUnderTest,
    settings: WrittenSettings,
    registry: RegistryAccess,
    missing: str,
) -> None:
    def ensure() -> list[str]:
        said: list[str] = []
        preparation.ensure(platform.instance, settings, platform.kubeconfig, registry, said.append)
        return said

    DAMAGES[missing](platform)
    assert ensure() == [f"python -m deployments.cluster.bootstrap {ENVIRONMENT}"]
    assert ensure() == []
    account(platform).require_fence()


def account(platform: PlatformUnderTest) -> Cluster:
    """The cluster as the block's kubeconfig leads to it."""
    block = platform.api.block("secret", f"slipway-{ENVIRONMENT}")
    assert block
    login = kubeconfigs.access(block["value"], ENVIRONMENT)
    return as_releasing(Cluster(login, login.context, ENVIRONMENT, "classifier"))
