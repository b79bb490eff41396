"""What an administrator creates once in a cluster, before the first release, and renews once a year.

    python -m deployments.cluster.bootstrap [ENVIRONMENT ...]

prepares the environments named, or all of slipway.toml: namespace, pull secret, the account that releases
with its rights, the Lease and the admission policies that keep releases apart. It works with `context` and
`kubeconfig` of the environment; the kubeconfig of the account that it creates goes into the Prefect Secret
block that `credentials` names, on the server of PREFECT_API_URL. It can be run again at any time, as after
the registry's password changed, whose credentials are those of the registry's block.
"""

import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.blocks.system import Secret

from deployments.cluster import manifests
from deployments.cluster.manifests import ACCOUNT
from flows.config import load as configuration
from flows.config.load import Settings
from flows.core.errors import (
    ChangedMeanwhile,
    ClusterNotPrepared,
    PermanentError,
    SettingsError,
    SlipwayError,
    TransientError,
)
from flows.credentials import prefect_blocks
from flows.services.kubernetes import kubeconfig
from flows.services.kubernetes.api import not_prepared
from flows.services.kubernetes.cluster import Cluster
from flows.services.process.command import Say
from flows.services.process.files import write_private
from flows.services.process.poll import Waiting, poll
from flows.services.registry.auth import Credentials
from flows.stages.clusters import cluster_of

TOKEN_LIFETIME = 365 * 24 * 3600
"""Seconds that are asked for; the server may give less."""

IN_FORCE_WITHIN = 30
"""Seconds that an API server may take until it heeds a new policy."""


def prepare(settings: Settings, environment: str, say: Say) -> None:
    """Create or update what releases to the environment need; `PermanentError` says why it can't."""
    cluster = cluster_of(settings, environment)
    block = settings.environment(environment).credentials
    try:
        create(cluster, prefect_blocks.registry_credentials(settings.registry))
        say(f"Namespace {cluster.namespace}, its pull secret, account, Lease and policies are in place.")
        content, until = account_kubeconfig(cluster)
        await_fence(cluster, content)
    except (SettingsError, TransientError):
        raise
    except SlipwayError as failure:
        raise PermanentError(
            f"The cluster {cluster.context!r} could not be prepared for {environment}: {failure.happened}",
            "This needs an administrator's rights: name such a context in slipway.toml while you run it.",
            details=failure.details,
        ) from failure
    if block is None:
        say(f"{environment} names no `credentials`: releases to it need a block with {ACCOUNT}'s kubeconfig.")
        return
    Secret(value=content).save(block, overwrite=True)
    say(f"With block secret/{block} {environment} can be released to until {until:%Y-%m-%d}.")


def create(cluster: Cluster, credentials: Credentials) -> None:
    """Create or update the objects; an existing Lease is left alone: a run may hold it."""
    cluster.set_up(manifests.objects(cluster.namespace, credentials))
    try:
        cluster.api.create(cluster.path("apis/coordination.k8s.io/v1", "leases"), manifests.new_lease())
    except ChangedMeanwhile:
        return  # there is one


def account_kubeconfig(cluster: Cluster) -> tuple[str, datetime]:
    """The kubeconfig of the account that releases, with a new token, and until when that is valid."""
    path = f"{cluster.path('api/v1', 'serviceaccounts', ACCOUNT)}/token"
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": TOKEN_LIFETIME},
    }
    given = cluster.api.create(path, request)["status"]
    content = kubeconfig.of_account(
        cluster.kubeconfig, cluster.context, ACCOUNT, cluster.namespace, given["token"]
    )
    return content, datetime.fromisoformat(given["expirationTimestamp"])


def await_fence(cluster: Cluster, content: str) -> None:
    """Return when the server fences that account; it heeds new policies and rights after a moment."""
    with TemporaryDirectory(prefix="slipway-bootstrap-") as folder:
        file = Path(folder) / "kubeconfig"
        write_private(file, content)
        account = replace(cluster, kubeconfig=file, context=kubeconfig.context_of(content, ACCOUNT))

        def look() -> bool | Waiting:
            try:
                account.require_fence()
            except ClusterNotPrepared as error:
                return Waiting(error.happened)
            return True

        poll(look, timeout=IN_FORCE_WITHIN, pause=0.2, late=not_prepared)


def main(arguments: list[str]) -> int:
    """Exit status: 0 when all is in place, 2 for wrong settings, 1 for anything else."""
    try:
        settings = configuration.load()
        for environment in arguments or list(settings.environments):
            prepare(settings, environment, print)
    except SlipwayError as error:
        print(f"{error.with_docs}\n{error.details}".strip(), file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
