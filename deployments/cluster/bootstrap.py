"""What an administrator creates once in a cluster, before the first release, and renews once a year.

    python -m deployments.cluster.bootstrap [--attach] [ENVIRONMENT ...]

prepares the environments named, or all of slipway.toml: namespace, pull secret, the account that releases
with its rights, the Lease and the admission policy that keep releases apart, and what bounds all pods there
(policies and a quota, as `allowed_images`, `service_accounts`, `egress` and `quota` say). It works with
`context` and `kubeconfig` of the environment, or as the identity of [azure] where `aks` alone is set.

The account slipway-login may create tokens of the account that releases, and do nothing else. Its kubeconfig
goes into the Prefect Secret block that `credentials` names, on the server of PREFECT_API_URL. Where the
environment names a `login`, that user has this right, and there is no such block.

With --attach, the nodes pull by an identity of their own: no pull secret is created, and a pod pulls the
image that `latest` names, once there is one.

It can be run again at any time, as after a change of those keys, or of the password in the block
`[registry] pull_credentials`.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from prefect.blocks.system import Secret

from deployments.cluster import manifests, pull_login
from deployments.cluster.rules import Rules, rules_of
from flows.config import load as configuration
from flows.config import network
from flows.config.load import Settings
from flows.config.schema import Environment
from flows.core.errors import (
    ChangedMeanwhile,
    ClusterNotPrepared,
    CredentialsRefused,
    PermanentError,
    PodNotAllowed,
    SettingsError,
    SlipwayError,
    TransientError,
)
from flows.credentials import prefect_blocks
from flows.services.kubernetes import kubeconfig, pod_policy
from flows.services.kubernetes.account import ACCOUNT, LOGIN, as_releasing, create_token
from flows.services.kubernetes.api import not_prepared
from flows.services.kubernetes.attach import PULL_SECRET
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.fence import NO_HOLDER
from flows.services.prefect.api import translated_prefect_errors
from flows.services.process.command import Say
from flows.services.process.poll import Waiting, poll
from flows.services.registry.auth import Credentials
from flows.stages.attach import administrators_cluster, try_pull
from flows.stages.context import RunContext

TOKEN_LIFETIME = 365 * 24 * 3600
"""Seconds that are asked for; the server may give less."""

IN_FORCE_WITHIN = 30
"""Seconds that a cluster may take until it heeds a new policy or quota."""

RIGHTS = "Run this as an administrator of the cluster: name such a context in slipway.toml while you do."
AGAIN = "Correct what the cluster reports, then run this again."


def prepare(settings: Settings, environment: str, say: Say, *, attached: bool = False) -> None:
    """Create or update what releases to the environment need, and wait until it is in force.

    `attached`: the nodes pull by an identity of their own, which is tried. `PermanentError` where the cluster
    refuses something; `PrefectUnavailable` where the server of the blocks is away.
    """
    wanted = settings.environment(environment)
    run = RunContext("bootstrap", settings, Path.cwd(), say, lambda _: lambda *_: None, prefect_blocks)
    _require_login(environment, wanted)
    pulling = None if attached else _pull_login(settings)
    with translated_prefect_errors():
        cluster = administrators_cluster(run, environment)
    with _explained(cluster, environment):
        create(cluster, rules_of(settings, environment), pulling)
        what = "quota" if pulling is None else "quota and pull secret"
        say(f"Namespace {cluster.namespace}, account, Lease, policies, {what} are in place.")
        login = _new_login(cluster) if wanted.login is None else None
        await_fence(cluster if login is None else login.cluster)
    if login is None:
        say(f"The user {wanted.login} may create tokens of {ACCOUNT}, and do nothing else.")
    else:
        _hand_over(login, environment, wanted, say)
    if attached:
        _try_pull(run, environment, cluster)


@dataclass(frozen=True)
class _Login:
    """What the worker signs in with: its kubeconfig, valid `until` then, and the cluster as that login."""

    kubeconfig: str = field(repr=False)
    until: datetime
    cluster: Cluster


def _pull_login(settings: Settings) -> Credentials | None:
    """The login that the nodes pull with; None where slipway.toml names none."""
    with translated_prefect_errors():
        login = prefect_blocks.pull_credentials(settings.registry)
    if login is not None:
        pull_login.require_pull_only(settings.registry, login)
    return login


@contextmanager
def _explained(cluster: Cluster, environment: str) -> Iterator[None]:
    """What the cluster refuses, as `PermanentError` with what an administrator does about it."""
    try:
        yield
    except (SettingsError, TransientError):
        raise
    except SlipwayError as failure:
        happened = f"The cluster {cluster.context!r} could not be prepared for {environment}: "
        remedy = RIGHTS if isinstance(failure, CredentialsRefused) else AGAIN
        raise PermanentError(happened + failure.happened, remedy, details=failure.details) from failure


def _new_login(cluster: Cluster) -> _Login:
    content, until = login_kubeconfig(cluster)
    access = kubeconfig.access(content, LOGIN)
    return _Login(content, until, replace(cluster, kubeconfig=access, context=access.context))


def _hand_over(login: _Login, environment: str, wanted: Environment, say: Say) -> None:
    """Save the login in the environment's block, if it names one."""
    if wanted.credentials is None:
        say(f"{environment} names no `credentials`: releases to it need a block with {LOGIN}'s kubeconfig.")
        return
    with translated_prefect_errors():
        Secret(value=login.kubeconfig).save(wanted.credentials, overwrite=True)
    say(f"Block secret/{wanted.credentials} lets runs release to {environment} until {login.until:%Y-%m-%d}.")


def _try_pull(run: RunContext, environment: str, cluster: Cluster) -> None:
    with translated_prefect_errors():
        pulled = try_pull(run, environment, cluster)
    if pulled is None:
        run.say("No pull was tried: the registry has no `latest` yet. Repeat this after the first build.")
    else:
        run.say(f"A node of {cluster.context} pulled {pulled}.")


def _require_login(environment: str, wanted: Environment) -> None:
    if wanted.aks is not None and wanted.login is None:
        raise SettingsError(
            f"The environment {environment} is on AKS, and names no `login`.",
            "Set `login` in its table to the object id of the identity that runs have: `az identity show "
            "--name NAME --resource-group GROUP --query principalId`, or `az ad sp show --id CLIENT_ID "
            "--query id`.",
        )


def create(cluster: Cluster, rules: Rules, login: Credentials | None) -> None:
    """Create or update the objects; an existing Lease is left alone: a run may hold it.

    Without a `login` for the nodes there is no pull secret.
    """
    cluster.set_up(manifests.objects(rules, login))
    _await_quota(cluster)
    _await_pod_policy(cluster)
    if login is None:
        path = cluster.path("api/v1", "secrets", PULL_SECRET)
        if (secret := cluster.api.get(path)) is not None:
            cluster.api.delete(path, secret)
    try:
        cluster.api.create(cluster.path("apis/coordination.k8s.io/v1", "leases"), manifests.new_lease())
    except ChangedMeanwhile:
        return  # there is one


def _await_quota(cluster: Cluster) -> None:
    """Return when the quota counts: until then, the server refuses every pod of the namespace."""
    path = cluster.path("api/v1", "resourcequotas", manifests.QUOTA)

    def look() -> bool | Waiting:
        quota = cluster.api.get(path) or {}
        counted = quota.get("status", {}).get("hard") == quota.get("spec", {}).get("hard")
        return counted or Waiting(f"The quota {manifests.QUOTA} of {cluster.namespace} is not counted yet.")

    poll(look, timeout=IN_FORCE_WITHIN, pause=0.2, late=not_prepared)


def _await_pod_policy(cluster: Cluster) -> None:
    """Return when the server refuses pods with foreign images, from an administrator too."""

    def look() -> bool | Waiting:
        try:
            pod_policy.try_foreign(cluster.api, cluster.namespace, NO_HOLDER)
        except PodNotAllowed:
            return True
        return Waiting(f"The admission policy for pods of {cluster.namespace} is not in force yet.")

    poll(look, timeout=IN_FORCE_WITHIN, pause=0.2, late=not_prepared)


def login_kubeconfig(cluster: Cluster, account: str = LOGIN) -> tuple[str, datetime]:
    """The kubeconfig of the worker's login, with a new token, and until when that is valid."""
    given = create_token(cluster.api, cluster.namespace, account, TOKEN_LIFETIME)
    if given is None:
        raise not_prepared(f"The namespace {cluster.namespace!r} has no account {account}.")
    status = given["status"]
    content = kubeconfig.of_account(
        cluster.kubeconfig, cluster.context, account, cluster.namespace, status["token"]
    )
    return content, datetime.fromisoformat(status["expirationTimestamp"])


def await_fence(login: Cluster) -> None:
    """Return when the server lets the login in as the releasing account, and fences what that writes; it
    heeds new policies and rights after a moment."""
    account = as_releasing(login)

    def look() -> bool | Waiting:
        try:
            account.require_fence()
        except ClusterNotPrepared as error:
            return Waiting(error.happened)
        return True

    poll(look, timeout=IN_FORCE_WITHIN, pause=0.2, late=not_prepared)


def main(arguments: list[str]) -> int:
    """Exit status: 0 when all is in place, 2 for wrong settings, 1 for anything else."""
    parser = argparse.ArgumentParser("python -m deployments.cluster.bootstrap")
    parser.add_argument("environments", nargs="*", metavar="ENVIRONMENT", help="all, if none is named")
    parser.add_argument(
        "--attach", action="store_true", help="the nodes pull by an identity of their own; try it"
    )
    wanted = parser.parse_args(arguments)
    try:
        settings = configuration.load()
        network.enter(settings)
        for environment in wanted.environments or list(settings.environments):
            prepare(settings, environment, print, attached=wanted.attach)
    except SlipwayError as error:
        print(f"{error.with_docs}\n{error.details}".strip(), file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
