"""Opens a container of Azure Blob Storage, a bucket of S3 (or of what speaks like it), or a folder."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, LocalStore, S3Store

from flows.core.errors import ModelNotFound, SettingsError
from flows.core.model.model import AWS
from flows.services.models.blob_store import BlobStore

if TYPE_CHECKING:  # obstore has these for type checkers only
    from obstore.store import AzureConfig, ClientConfig, RetryConfig, S3Config

# obstore by itself tries for 3 minutes. A store that is away must be known within 5 s: trying for longer is
# the task's part, where ops can see it.
_RETRY: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=3)}

_BLOCK = "the Prefect block that [model] credentials in slipway.toml names"
_AZURE_SIGN_IN = (
    f"Set a valid connection_string in {_BLOCK}, or account_url and an identity with the role "
    "'Storage Blob Data Contributor'."
)
_S3_SIGN_IN = (
    f"Set a valid key id and secret in {_BLOCK}, or give this machine a role that may use the bucket."
)


def of_block(kind: str, container: str, values: Mapping[str, Any]) -> BlobStore:
    """The container or bucket that a Prefect block of that type leads to, by what it holds."""
    if kind == AWS:
        return s3(
            container,
            region=values.get("region_name"),
            endpoint=(values.get("aws_client_parameters") or {}).get("endpoint_url"),
            access_key_id=values.get("aws_access_key_id"),
            secret_access_key=values.get("aws_secret_access_key"),
            session_token=values.get("aws_session_token"),
        )
    fields = ("connection_string", "account_url", "tenant_id", "client_id", "client_secret")
    return azure(container, **{field: values.get(field) for field in fields})


def azure(
    container: str,
    *,
    connection_string: str | None = None,
    account_url: str | None = None,
    tenant_id: str | None = None,
    client_id: str | None = None,
    client_secret: str | None = None,
) -> BlobStore:
    """A container of Azure Blob Storage; the arguments are the fields of prefect-azure's block.

    A connection string wins; else the account's URL with a service principal, or without one whatever
    identity the machine has (environment, workload, managed, az login). `SettingsError` when none is
    complete.
    """
    if connection_string:
        config = _from_connection_string(connection_string)
    elif account_url:
        config = _from_account_url(account_url)
        if tenant_id and client_id and client_secret:
            config |= {"tenant_id": tenant_id, "client_id": client_id, "client_secret": client_secret}
    else:
        raise SettingsError("There are no credentials for the blob store.", _AZURE_SIGN_IN)
    has_secret = bool({"account_key", "sas_key", "client_secret"} & config.keys())
    try:
        objects = AzureStore(
            container,
            config=config,
            client_options=_client(config["endpoint"]),
            retry_config=_RETRY,
            credential_provider=None if has_secret else _machine_identity(),
        )
    except BaseError:
        # not chained: its text quotes what it could not read, and that is a secret
        raise SettingsError("The blob store's credentials are malformed.", _AZURE_SIGN_IN) from None
    return BlobStore(
        objects,
        place=f"container {container!r} at {config['endpoint']}",
        how_to_create=(
            f"Create it (az storage container create --name {container} --account-name "
            f"{config['account_name']}), or name another as [model] container in slipway.toml."
        ),
        how_to_sign_in=_AZURE_SIGN_IN,
    )


def s3(
    bucket: str,
    *,
    region: str | None,
    endpoint: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
) -> BlobStore:
    """A bucket of S3, or at `endpoint` of MinIO, Ceph and the like. `SettingsError` without a region.

    Without keys the machine's own identity is used: AWS_* variables, a web identity or an instance's role.
    """
    if not region:
        raise SettingsError(f"The region of bucket {bucket!r} is not known.", f"Set region_name in {_BLOCK}.")
    config: S3Config = {"region": region}
    if endpoint:
        config["endpoint"] = endpoint
    if access_key_id and secret_access_key:
        config |= {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
        if session_token:
            config["session_token"] = session_token
    objects = S3Store(
        bucket, config=config, client_options=_client(endpoint or "https:"), retry_config=_RETRY
    )
    return BlobStore(
        objects,
        place=f"bucket {bucket!r} at {endpoint or region}",
        how_to_create=f"Create it (aws s3 mb s3://{bucket}), or name another in slipway.toml.",
        how_to_sign_in=_S3_SIGN_IN,
    )


def folder(path: Path) -> BlobStore:
    """A folder on this machine, or one that is mounted; `ModelNotFound` when it is not there."""
    how_to_create = f"Create it (mkdir -p {path}), or name another in slipway.toml."
    if not path.is_dir():
        raise ModelNotFound(f"There is no folder {path}.", how_to_create)
    return BlobStore(
        LocalStore(path),
        place=f"folder {path}",
        how_to_create=how_to_create,
        how_to_sign_in="Give this user the right to read and write there.",
    )


def _client(endpoint: str) -> "ClientConfig":
    return {
        "allow_http": endpoint.startswith("http://"),  # Azurite and the like, on loopback
        "connect_timeout": timedelta(seconds=3),
        "read_timeout": timedelta(seconds=30),  # without a byte; a busy store may think for a while
        "timeout": timedelta(minutes=10),  # for one part of 16 MiB, by whatever line there is
    }


def _from_connection_string(text: str) -> "AzureConfig":
    """https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string"""
    from azure.core.utils import parse_connection_string  # noqa: PLC0415  # takes 150 ms to import

    try:
        fields = parse_connection_string(text.strip())
    except ValueError:  # whose message may hold the secret
        raise SettingsError("The blob store's connection string is malformed.", _AZURE_SIGN_IN) from None
    account = fields.get("accountname", "")
    endpoint = fields.get("blobendpoint") or (
        f"{fields.get('defaultendpointsprotocol', 'https')}://{account}.blob."
        f"{fields.get('endpointsuffix', 'core.windows.net')}"
    )
    config = _from_account_url(endpoint)
    if account:
        config["account_name"] = account
    if key := fields.get("accountkey"):
        return config | {"account_key": key, "credential_type": "access_key"}
    if signature := fields.get("sharedaccesssignature"):
        return config | {"sas_key": signature, "credential_type": "sas_token"}
    raise SettingsError(
        "The blob store's connection string holds neither AccountKey nor SharedAccessSignature.",
        _AZURE_SIGN_IN,
    )


def _from_account_url(url: str) -> "AzureConfig":
    host = urlsplit(url).hostname or ""
    return {"endpoint": url.rstrip("/"), "account_name": host.split(".")[0]}


def _machine_identity() -> Callable[[], Any]:
    # takes a second to import, and only Azure's own identities need it
    from obstore.auth.azure import AzureCredentialProvider  # noqa: PLC0415

    return AzureCredentialProvider()
