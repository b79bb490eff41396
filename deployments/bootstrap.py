"""What an administrator creates once in a cluster, before the first release: namespace and pull secret.

    python -m deployments.bootstrap [ENVIRONMENT ...]

prepares the environments named, or all of slipway.toml. It can be run again at any time, as after the
registry's password changed; the credentials are those of the registry's Prefect block.
"""

import base64
import json
import sys

import yaml

from flows import blocks, settings
from flows.core.errors import CommandFailed, PermanentError, SettingsError, SlipwayError
from flows.run import cluster_of
from flows.services.cluster import Cluster
from flows.services.command import Command, Say, run, silent
from flows.services.registry import Credentials
from flows.settings import Settings

PULL_SECRET = "slipway-registry"
"""The name that the Deployment's `imagePullSecrets` has."""

TIMEOUT = 60


def prepare(wanted: Settings, environment: str, say: Say) -> None:
    """Create or update what releases to the environment need; `PermanentError` says why it can't."""
    cluster = cluster_of(wanted, environment)
    credentials = blocks.registry_credentials(wanted.registry)
    manifest = yaml.safe_dump_all([_namespace(cluster), _pull_secret(cluster, credentials)])
    try:
        run(Command((*cluster.kubectl_apply(), "--force-conflicts"), TIMEOUT, stdin=manifest), silent)
    except CommandFailed as failure:
        raise PermanentError(
            f"The cluster {cluster.context!r} could not be prepared for {environment}: {failure.details}",
            "This needs an administrator's rights: name such a context in slipway.toml while you run it.",
        ) from None
    say(f"Namespace {cluster.namespace} and its pull secret are in place for {environment}.")


def _namespace(cluster: Cluster) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}}


def _pull_secret(cluster: Cluster, credentials: Credentials) -> dict[str, object]:
    pair = base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": PULL_SECRET, "namespace": cluster.namespace},
        "stringData": {".dockerconfigjson": json.dumps({"auths": {credentials.address: {"auth": pair}}})},
    }


def main(arguments: list[str]) -> int:
    """Exit status: 0 when all is in place, 2 for wrong settings, 1 for anything else."""
    try:
        wanted = settings.load()
        for environment in arguments or list(wanted.environments):
            prepare(wanted, environment, print)
    except SlipwayError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, SettingsError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
