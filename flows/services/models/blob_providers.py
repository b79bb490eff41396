"""Opens the store at an address: a container of Azure Blob Storage, a bucket of S3, or a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from obstore.store import LocalStore

from flows.core.errors import ModelNotFound
from flows.core.model.store_address import StoreAddress
from flows.services.models import azure_blobs, s3_buckets
from flows.services.models.azure_blobs import AzureAccess
from flows.services.models.blob_store import BlobStore


def opened(
    address: StoreAddress, block: Mapping[str, Any] | None, access: AzureAccess, table: str = "model"
) -> BlobStore:
    """The store at that address, signed in to by the values of its block.

    Without a block, Azure is signed in to as `access` says, and S3 as AWS's own tools do. `table` is that of
    slipway.toml which names the store. `SettingsError` where that is not enough, `ModelNotFound` for a folder
    that is not there.
    """
    match address.kind:
        case "file":
            return folder(Path(address.folder), table=table)
        case "s3":
            return s3_buckets.of_block(address, block or {}, table)
        case "az":
            return azure_blobs.of_block(address, block, access, table)


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
