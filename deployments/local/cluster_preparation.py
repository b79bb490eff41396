"""What an administrator prepares in a cluster before the first release; in the embedded one that is us."""

import base64
import json
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

from kubernetes import client, config

from deployments.local.instance import Instance
from deployments.local.prefect_server import flow_environment
from deployments.local.progress import Say
from deployments.local.registry import RegistryAccess
from flows.core.errors import PlatformFailed
from flows.settings import EMBEDDED, Settings

PULL_SECRET = "slipway-registry"
TIMEOUT = 120


def ensure(
    instance: Instance, settings: Settings, kubeconfig: Path, access: RegistryAccess | None, say: Say
) -> None:
    """Namespace and pull secret of each environment on the embedded cluster, as they have to be now."""
    names = [name for name, wanted in settings.environments.items() if wanted.context == EMBEDDED]
    connection = client.Configuration()
    config.load_kube_config(  # type: ignore[no-untyped-call]  # only its API is typed
        str(kubeconfig), EMBEDDED, client_configuration=connection
    )
    core = client.CoreV1Api(client.ApiClient(connection))
    missing = [n for n in names if not _is_prepared(core, settings.environments[n].namespace, access)]
    if missing:
        say(f"python -m deployments.bootstrap {' '.join(missing)}")
        _prepare(instance, missing)


def _is_prepared(core: client.CoreV1Api, namespace: str, access: RegistryAccess | None) -> bool:
    """Whether the pull secret opens our registry; of another registry we don't know the password here."""
    if access is None:
        return False
    try:
        secret = core.read_namespaced_secret(PULL_SECRET, namespace)
    except client.ApiException as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return False
        raise PlatformFailed(f"The embedded cluster answers {error.status}: {error.reason}.") from error
    known = json.loads(base64.b64decode((secret.data or {})[".dockerconfigjson"]))["auths"]
    login = base64.b64encode(f"{access.username}:{access.password}".encode()).decode()
    return bool(known.get(access.address, {}).get("auth") == login)


def _prepare(instance: Instance, environments: list[str]) -> None:
    """In a process of its own: it takes the credentials from Prefect's block, with Prefect's own client."""
    prepared = subprocess.run(
        [sys.executable, "-m", "deployments.bootstrap", *environments],
        cwd=instance.checkout,
        env=flow_environment(instance),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if prepared.returncode:
        raise PlatformFailed(prepared.stderr.strip()[-1000:])
