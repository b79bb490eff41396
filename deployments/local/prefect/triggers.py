"""The receiver of webhooks and the poller, supervised beside Prefect's server and worker."""

import httpx

from deployments.local import supervision
from deployments.local.instance import Instance
from deployments.local.prefect.server import POLLER, RECEIVER
from deployments.local.wait import wait_until
from flows.services.process.tls import NO_TLS

START_TIMEOUT = 60
"""Seconds until the receiver answers, on a busy machine."""


def hooks_url(instance: Instance) -> str:
    """Where deliveries go: /hooks/github and /hooks/azure-devops below it."""
    return f"http://127.0.0.1:{instance.ports.hooks_port}"


def receive(instance: Instance, *, restart: bool) -> None:
    """Have the receiver answer, `restart` it if its code may have changed; `PlatformFailed` names its log."""
    if restart:
        supervision.stop(instance, RECEIVER)
    supervision.start(instance, RECEIVER)
    wait_until(
        lambda: _answers(instance),
        START_TIMEOUT,
        f"The receiver at {hooks_url(instance)} does not answer",
        f"Read {supervision.log_file(instance, RECEIVER)}, then run this again.",
    )


def start_poller(instance: Instance) -> None:
    """Have the poller run, which starts CI for what is not built yet."""
    supervision.start(instance, POLLER)


def stop_poller(instance: Instance) -> None:
    """End the poller until `start_poller` is called."""
    supervision.stop(instance, POLLER)


def _answers(instance: Instance) -> bool:
    if not supervision.listens(instance, RECEIVER, instance.ports.hooks_port):
        return False
    try:
        return httpx.get(
            f"{hooks_url(instance)}/healthz", timeout=2, trust_env=False, verify=NO_TLS
        ).is_success
    except httpx.TransportError:
        return False
