"""Opens a container of Azure Blob Storage."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore

from flows.core.errors import SettingsError
from flows.core.model.store_address import StoreAddress
from flows.services.azure.cloud import CLOUDS, Cloud
from flows.services.azure.identity import STORAGE, AzureIdentity
from flows.services.models.blob_client import RETRY, block_of, client_options
from flows.services.models.blob_store import BlobStore, SignIn

if TYPE_CHECKING:  # obstore has it for type checkers only
    from obstore.store import AzureConfig


@dataclass(frozen=True)
class AzureAccess:
    """Azure as [azure] in slipway.toml describes it; `identity` is None where it names none.

    `own_authority` as in `AzureIdentity`.
    """

    cloud: Cloud = CLOUDS["public"]
    identity: AzureIdentity | None = None
    own_authority: bool = False


NO_IDENTITY = AzureAccess()


def of_block(
    address: StoreAddress, block: Mapping[str, Any] | None, access: AzureAccess, table: str
) -> BlobStore:
    """The container at that address, signed in to by prefect-azure's block or, without one, as `access` says.

    `SettingsError` where the block is of another account, or neither says how to sign in.
    """
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
        f"Set a valid connection_string in {block_of(table)}, or account_url and an identity with the role "
        "'Storage Blob Data Contributor'."
    )
    sign_in: SignIn | None = None
    if connection_string:
        config = _from_connection_string(connection_string, how_to_sign_in)
    elif account_url:
        config = _from_account_url(account_url)
        identity = access.identity
        if tenant_id and client_id and client_secret:
            identity = _service_principal(access, tenant_id, client_id, client_secret)
        sign_in = SignIn(_tokens(identity) if identity else _machine_identity())
    else:
        raise SettingsError("There are no credentials for the blob store.", how_to_sign_in)
    try:
        objects = AzureStore(
            container,
            prefix=folder or None,
            config=config,
            client_options=client_options(config["endpoint"]),
            retry_config=RETRY,
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


def _service_principal(access: AzureAccess, tenant: str, client_id: str, secret: str) -> AzureIdentity:
    """That of a block, in the cloud of `access`."""
    return AzureIdentity(
        "service-principal",
        access.cloud,
        tenant,
        client_id,
        lambda: secret,
        own_authority=access.own_authority,
    )


def _require_same(own: str | None, values: Mapping[str, Any], address: StoreAddress, table: str) -> None:
    """`SettingsError` where the block is of another account: a key goes only where it belongs."""
    if own is None:
        return
    if text := values["connection_string"]:
        theirs = _from_connection_string(text, f"Set a valid connection_string in {block_of(table)}.")[
            "endpoint"
        ]
    else:
        theirs = (values["account_url"] or own).rstrip("/")
    if urlsplit(theirs).netloc.lower() != urlsplit(own).netloc:
        raise SettingsError(
            f"The block of [{table}] credentials is for {theirs}, but [{table}] store is {address}.",
            "Correct the one that is wrong.",
        )


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
