"""Connections to an API server. Keys and tokens stay in memory.

The client library writes what a kubeconfig holds into temporary files, and deletes them when the interpreter
ends by itself: not after a kill, nor after `os._exit`.
"""

import base64
import binascii
import os
import shutil
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    ConfigNode,
    KubeConfigLoader,
    KubeConfigMerger,
)
from urllib3.util import make_headers
from urllib3.util.ssl_ import create_urllib3_context

from flows.core.errors import SettingsError
from flows.services.kubernetes.kubeconfig import UNUSABLE, AccountAccess, reason_of
from flows.services.process.network import login_of
from flows.services.process.temporary import temporary_folder

AUTHORITY, CERTIFICATE, KEY = "certificate-authority-data", "client-certificate-data", "client-key-data"
"""The keys of a kubeconfig with an authority and a client's certificate and key, each base64 of PEM."""


@dataclass(frozen=True)
class _Inline:
    """The PEM texts that a kubeconfig holds; "" where it holds none."""

    authority: str = ""
    certificate: str = ""
    key: str = ""


def connect(kubeconfig: Path | AccountAccess | None, context: str) -> client.ApiClient:
    """A client of the server that the context of a kubeconfig file (None: the user's own) leads to, or the
    account of a block.

    It tries nothing twice. `SettingsError` where the kubeconfig is missing or can't be used.
    """
    connection = client.Configuration()
    connection.retries = False  # the table of tasks says what is tried again
    file = str(kubeconfig) if isinstance(kubeconfig, Path) else None
    try:
        if isinstance(kubeconfig, AccountAccess):
            return _connected(connection, _of_account(connection, kubeconfig))
        # a plugin's certificate goes through files
        with temporary_folder("plugin") as folder:
            return _connected(connection, _of_file(connection, file, context, str(folder)))
    except UNUSABLE as error:
        raise SettingsError(
            f"The kubeconfig {file or 'of this user'} has no usable context {context!r}: {reason_of(error)}.",
            "Correct `context` or `kubeconfig` of the environment; `make run` makes the embedded one.",
        ) from error


def _of_account(connection: client.Configuration, access: AccountAccess) -> _Inline:
    connection.host = access.server
    connection.api_key["BearerToken"] = "Bearer -"  # without any, the hook would not be asked
    connection.refresh_api_key_hook = partial(_renew, access)  # type: ignore[assignment]  # its type is None's
    connection.tls_server_name = access.tls_server_name or None
    return _Inline(authority=access.authority)


def _renew(access: AccountAccess, connection: client.Configuration) -> None:
    connection.api_key["BearerToken"] = f"Bearer {access.token()}"


def _of_file(connection: client.Configuration, file: str | None, context: str, folder: str) -> _Inline:
    merger = KubeConfigMerger(file or KUBE_CONFIG_DEFAULT_LOCATION)  # type: ignore[no-untyped-call]  # only its API is typed
    if merger.config is None:
        raise ConfigException("there is no such file")
    wanted = merger.config["contexts"].get_with_name(context)["context"]
    plugin = _plugin(merger.config, wanted.safe_get("user"))
    cluster = _taken_out(merger.config, "cluster", wanted["cluster"], (AUTHORITY,))
    user = _taken_out(merger.config, "user", wanted.safe_get("user"), (CERTIFICATE, KEY))
    loader = KubeConfigLoader(  # type: ignore[no-untyped-call]  # as above
        merger.config,
        active_context=context,
        config_base_path=None,
        config_persister=merger.save_changes,
        temp_file_path=folder,
    )
    loader.load_and_set(connection)  # type: ignore[no-untyped-call]  # as above
    if plugin and not (connection.api_key or connection.cert_file):  # the library logs the program's error
        raise SettingsError(
            f"The kubeconfig's user {wanted['user']} signs in with the program {plugin}, which gives no "
            "credentials.",
            f"Run `kubectl --context {context} version`, and correct what {plugin} says.",
        )
    return _Inline(cluster.get(AUTHORITY, ""), user.get(CERTIFICATE, ""), user.get(KEY, ""))


def _plugin(config: ConfigNode, name: str | None) -> str:
    """The program by which the user of that name signs in, "" where there is none.

    `SettingsError` where it is not installed: the library would go on as anonymous.
    """
    for entry in config.value.get("users") or []:
        command = str((entry.value.get("user") or {}).get("exec", {}).get("command", ""))
        if entry.value["name"] != name or not command:
            continue
        beside = Path(entry.path).parent / command
        is_there = os.access(beside, os.X_OK) if os.sep in command else shutil.which(command)
        if not is_there:
            raise SettingsError(
                f"The kubeconfig {entry.path} signs in with the program {command}, which is not installed "
                "on this machine.",
                f"Install {command}, or use another context. Runs need no program for a cluster that "
                "slipway.toml names in `aks` of the environment.",
            )
        return command
    return ""


def _taken_out(config: ConfigNode, kind: str, name: str | None, keys: tuple[str, ...]) -> dict[str, str]:
    """The texts at those keys of a cluster or user, which the library does not see any more.

    Its entry is replaced, not changed: the library writes a changed one back to the user's file.
    """
    entries: list[ConfigNode] = config.value.get(f"{kind}s") or []
    found: dict[str, str] = {}
    for index, entry in enumerate(entries):
        if entry.value["name"] == name:
            settings: dict[str, Any] = entry.value.get(kind) or {}
            found = {key: _decoded(settings[key], key) for key in keys if settings.get(key)}
            kept = {key: value for key, value in settings.items() if key not in found}
            entries[index] = ConfigNode(entry.name, {**entry.value, kind: kept}, entry.path)  # type: ignore[no-untyped-call]  # as above
    return found


def _decoded(text: str, key: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ConfigException(f"{key} is no base64 of a PEM text") from None  # its error quotes the text


def _connected(connection: client.Configuration, inline: _Inline) -> client.ApiClient:
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if connection.verify_ssl else ssl.CERT_NONE)
    if inline.authority or connection.ssl_ca_cert:
        context.load_verify_locations(cafile=connection.ssl_ca_cert, cadata=inline.authority or None)
    else:
        context.load_default_certs()
    if inline.certificate:
        with _in_memory(inline.certificate, inline.key) as (certificate, key):
            context.load_cert_chain(certificate, key)
    elif connection.cert_file:
        context.load_cert_chain(connection.cert_file, connection.key_file)
    connection.ssl_ca_cert = connection.cert_file = connection.key_file = None
    if connection.proxy and (login := login_of(connection.proxy)):
        connection.proxy_headers = make_headers(proxy_basic_auth=login)  # else it answers 407
    made = client.ApiClient(connection)
    made.rest_client.pool_manager.connection_pool_kw["ssl_context"] = context
    return made


@contextmanager
def _in_memory(*texts: str) -> Iterator[list[str]]:
    """Names of files with these texts, which are on no disk: OpenSSL reads certificates from files alone."""
    descriptors = [os.memfd_create("slipway") for _ in texts]
    try:
        for descriptor, text in zip(descriptors, texts, strict=True):
            os.write(descriptor, text.encode())
        yield [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
