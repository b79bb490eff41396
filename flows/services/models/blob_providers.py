"""Opens a container of Azure Blob Storage, a bucket of S3 (or of what speaks like it), or a folder."""

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, LocalStore, S3Store

from flows.core.errors import CredentialsRefused, ModelNotFound, SettingsError
from flows.core.model.store_address import StoreAddress
from flows.services.azure.cloud import CLOUDS, Cloud
from flows.services.azure.identity import STORAGE, AzureIdentity
from flows.services.models.blob_store import BlobStore, SignIn

if TYPE_CHECKING:  # obstore has these for type checkers only
    from obstore.store import AzureConfig, ClientConfig, RetryConfig, S3Config

# obstore by itself tries for 3 minutes. A store that is away must be known within 5 s: trying for longer is
# the task's part, where ops can see it.
_RETRY: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=3)}

KEPT_FOR = timedelta(minutes=10)
"""How long AWS's credentials are used until boto3 is asked again: it renews them 10 minutes early."""


@dataclass(frozen=True)
class AzureAccess:
    """Azure as [azure] in slipway.toml describes it; `identity` is None where it names none.

    `own_authority` as in `AzureIdentity`.
    """

    cloud: Cloud = CLOUDS["public"]
    identity: AzureIdentity | None = None
    own_authority: bool = False


NO_IDENTITY = AzureAccess()


def opened(
    address: StoreAddress, block: Mapping[str, Any] | None, access: AzureAccess, table: str = "model"
) -> BlobStore:
    """The store at that address, signed in to by what its block holds.

    None: there is no block; Azure is signed in to as `access` says, S3 as AWS's own tools do. `table` is the
    one of slipway.toml that names the store. `SettingsError` where that is not enough.
    """
    match address.kind:
        case "file":
            return folder(Path(address.folder), table=table)
        case "s3":
            return _bucket(address, block or {}, table)
        case "az":
            fields = ("connection_string", "account_url", "tenant_id", "client_id", "client_secret")
            values = {field: (block or {}).get(field) for field in fields}
            own = address.account_url(access.cloud.blob_suffix)
            _require_same(own, values, address, table)
            if block is None and access.identity is None:
                raise SettingsError(
                    f"{address} has no credentials: slipway.toml names no identity for Azure.",
                    f"Set [azure] identity, or name a block at [{table}] credentials.",
                )
            if not values["connection_string"]:
                values["account_url"] = own or values["account_url"]
            return azure(address.container, **values, folder=address.folder, access=access, table=table)


def azure(
    container: str,
    *,
    connection_string: str | None = None,
    account_url: str | None = None,
    tenant_id: str | None = None,
    client_id: str | None = None,
    client_secret: str | None = None,
    folder: str = "",
    access: AzureAccess = NO_IDENTITY,
    table: str = "model",
) -> BlobStore:
    """A container of Azure Blob Storage; the first arguments are the fields of prefect-azure's block.

    A connection string wins; else the account's URL with a service principal, or without one the identity of
    `access`; where that has none, whatever identity the machine has (environment, workload, managed, az
    login). `SettingsError` when none is complete.
    """
    how_to_sign_in = (
        f"Set a valid connection_string in {_block(table)}, or account_url and an identity with the role "
        "'Storage Blob Data Contributor'."
    )
    sign_in: SignIn | None = None
    if connection_string:
        config = _from_connection_string(connection_string, how_to_sign_in)
    elif account_url:
        config = _from_account_url(account_url)
        identity = access.identity
        if tenant_id and client_id and client_secret:
            identity = AzureIdentity(
                "service-principal",
                access.cloud,
                tenant_id,
                client_id,
                lambda: client_secret,
                own_authority=access.own_authority,
            )
        sign_in = SignIn(_tokens(identity) if identity else _machine_identity())
    else:
        raise SettingsError("There are no credentials for the blob store.", how_to_sign_in)
    try:
        objects = AzureStore(
            container,
            prefix=folder or None,
            config=config,
            client_options=_client(config["endpoint"]),
            retry_config=_RETRY,
            credential_provider=sign_in,
        )
    except BaseError:
        # not chained: its text quotes what it could not read, and that is a secret
        raise SettingsError("The blob store's credentials are malformed.", how_to_sign_in) from None
    return BlobStore(
        objects,
        place=f"container {container!r} at {config['endpoint']}",
        how_to_create=(
            f"Create it (az storage container create --name {container} --account-name "
            f"{config['account_name']}), or name another as [{table}] store in slipway.toml."
        ),
        how_to_sign_in=how_to_sign_in,
        sign_in=sign_in,
    )


def s3(
    bucket: str,
    *,
    region: str | None,
    endpoint: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
    profile: str | None = None,
    folder: str = "",
    table: str = "model",
) -> BlobStore:
    """A bucket of S3, or at `endpoint` of MinIO, Ceph and the like. `SettingsError` without a region.

    Without keys it is signed in to as AWS's own tools do: by AWS_* variables, a profile, single sign-on, a
    role, a web identity. Without a region or an endpoint, those of AWS's variables or the profile count.
    """
    how_to_sign_in = (
        f"Set a valid key id and secret in {_block(table)}, or sign this machine in to AWS (aws sso login, "
        "AWS_PROFILE, a role) as an identity that may use the bucket."
    )
    sign_in: SignIn | None = None
    if not (access_key_id and secret_access_key) or not region:
        session = _aws_session(profile, region, how_to_sign_in)
        region = session.region_name
        endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if not (access_key_id and secret_access_key):
            sign_in = SignIn(_aws_credentials(session, how_to_sign_in))
    if not region:
        raise SettingsError(
            f"The region of bucket {bucket!r} is not known.",
            f"Set region_name in {_block(table)}, or set AWS_REGION, or the region of the AWS profile.",
        )
    config: S3Config = {"region": region}
    if endpoint:
        config["endpoint"] = endpoint
    if access_key_id and secret_access_key:
        config |= {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
        if session_token:
            config["session_token"] = session_token
    objects = S3Store(
        bucket,
        prefix=folder or None,
        config=config,
        client_options=_client(endpoint or "https:"),
        retry_config=_RETRY,
        credential_provider=sign_in,
    )
    return BlobStore(
        objects,
        place=f"bucket {bucket!r} at {endpoint or region}",
        how_to_create=(
            f"Create it (aws s3 mb s3://{bucket}), or name another as [{table}] store in slipway.toml."
        ),
        how_to_sign_in=how_to_sign_in,
        sign_in=sign_in,
    )


def folder(path: Path, *, table: str = "model") -> BlobStore:
    """A folder on this machine, or one that is mounted; `ModelNotFound` when it is not there."""
    how_to_create = f"Create it (mkdir -p {path}), or name another as [{table}] store in slipway.toml."
    if not path.is_dir():
        raise ModelNotFound(f"There is no folder {path}.", how_to_create)
    return BlobStore(
        LocalStore(path),
        place=f"folder {path}",
        how_to_create=how_to_create,
        how_to_sign_in="Give this user the right to read and write there.",
    )


def _block(table: str) -> str:
    return f"the Prefect block that [{table}] credentials in slipway.toml names"


def _bucket(address: StoreAddress, block: Mapping[str, Any], table: str) -> BlobStore:
    return s3(
        address.container,
        region=block.get("region_name"),
        endpoint=(block.get("aws_client_parameters") or {}).get("endpoint_url"),
        access_key_id=block.get("aws_access_key_id"),
        secret_access_key=block.get("aws_secret_access_key"),
        session_token=block.get("aws_session_token"),
        profile=block.get("profile_name"),
        folder=address.folder,
        table=table,
    )


def _require_same(own: str | None, values: Mapping[str, Any], address: StoreAddress, table: str) -> None:
    """`SettingsError` where the block is of another account: a key goes only where it belongs."""
    if own is None:
        return
    if text := values["connection_string"]:
        theirs = _from_connection_string(text, f"Set a valid connection_string in {_block(table)}.")[
            "endpoint"
        ]
    else:
        theirs = (values["account_url"] or own).rstrip("/")
    if urlsplit(theirs).netloc.lower() != urlsplit(own).netloc:
        raise SettingsError(
            f"The block of [{table}] credentials is for {theirs}, but [{table}] store is {address}.",
            "Correct the one that is wrong.",
        )


def _client(endpoint: str) -> "ClientConfig":
    return {
        "allow_http": endpoint.startswith("http://"),  # Azurite and the like, on loopback
        "connect_timeout": timedelta(seconds=3),
        "read_timeout": timedelta(seconds=30),  # without a byte; a busy store may think for a while
        "timeout": timedelta(minutes=10),  # for one part of 8 MiB, by whatever line there is
    }


def _from_connection_string(text: str, how_to_sign_in: str) -> "AzureConfig":
    """https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string"""
    from azure.core.utils import parse_connection_string  # noqa: PLC0415  # takes 150 ms to import

    try:
        fields = parse_connection_string(text.strip())
    except ValueError:  # whose message may hold the secret
        raise SettingsError("The blob store's connection string is malformed.", how_to_sign_in) from None
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
        _require_signature(signature, how_to_sign_in)
        return config | {"sas_key": signature, "credential_type": "sas_token"}
    raise SettingsError(
        "The blob store's connection string holds neither AccountKey nor SharedAccessSignature.",
        how_to_sign_in,
    )


def _require_signature(text: str, how_to_sign_in: str) -> None:
    """`SettingsError` where a shared access signature is not whole: a store may answer such with 500.

    https://learn.microsoft.com/rest/api/storageservices/create-service-sas
    """
    fields = parse_qs(text.strip().removeprefix("?"))
    try:
        signature = base64.b64decode(fields["sig"][0].replace(" ", "+"), validate=True)
    except (KeyError, binascii.Error):
        signature = b""
    if len(signature) != 32 or "sv" not in fields or not {"se", "si"} & fields.keys():
        raise SettingsError(
            "The blob store's shared access signature is malformed: a part of it is missing.", how_to_sign_in
        )


def _from_account_url(url: str) -> "AzureConfig":
    host = urlsplit(url).hostname or ""
    return {"endpoint": url.rstrip("/"), "account_name": host.split(".")[0]}


def _tokens(identity: AzureIdentity) -> Callable[[], dict[str, Any]]:
    def token() -> dict[str, Any]:
        given = identity.token(STORAGE)
        return {"token": given.value, "expires_at": given.expires_at}

    return token


def _machine_identity() -> Callable[[], Any]:
    # takes a second to import, and only Azure's own identities need it
    from obstore.auth.azure import AzureCredentialProvider  # noqa: PLC0415

    return AzureCredentialProvider()


def _aws_session(profile: str | None, region: str | None, how_to_sign_in: str) -> Any:
    import boto3  # noqa: PLC0415  # takes half a second to import
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    try:
        # boto3 itself reads AWS_DEFAULT_REGION alone
        session = boto3.Session(profile_name=profile, region_name=region or os.environ.get("AWS_REGION"))
        _ = session.region_name  # which reads the profile
    except BotoCoreError as error:
        raise SettingsError(f"AWS's configuration can't be used: {error}.", how_to_sign_in) from error
    return session


def _aws_credentials(session: Any, how_to_sign_in: str) -> Callable[[], dict[str, Any]]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # as above

    def credentials() -> dict[str, Any]:
        try:
            found = session.get_credentials()
            keys = found and found.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            raise CredentialsRefused(
                f"AWS does not sign this machine in: {error}.", how_to_sign_in
            ) from error
        if keys is None:
            raise CredentialsRefused("AWS found no credentials on this machine.", how_to_sign_in)
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + KEPT_FOR,
        }

    return credentials
