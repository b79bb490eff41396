"""Opens a bucket of S3, or of what speaks like it."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from obstore.store import S3Store

from flows.core.errors import CredentialsRefused, SettingsError
from flows.core.model.store_address import StoreAddress
from flows.services.models.blob_client import RETRY, block_of, client_options
from flows.services.models.blob_store import BlobStore, SignIn

if TYPE_CHECKING:  # obstore has it for type checkers only
    from obstore.store import S3Config

CACHED_FOR = timedelta(minutes=10)
"""How long AWS's credentials are used until boto3 is asked again: it renews them 10 minutes early."""


def of_block(address: StoreAddress, block: Mapping[str, Any], table: str) -> BlobStore:
    """The bucket at that address, by the fields of prefect-aws's block; errors as of `s3`."""
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
        f"Set a valid key id and secret in {block_of(table)}, or sign this machine in to AWS (aws sso login, "
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
            f"Set region_name in {block_of(table)}, or set AWS_REGION, or the region of the AWS profile.",
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
        client_options=client_options(endpoint or "https:"),
        retry_config=RETRY,
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
            "expires_at": datetime.now(UTC) + CACHED_FOR,
        }

    return credentials
