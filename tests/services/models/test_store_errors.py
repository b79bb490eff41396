"""Each refusal of a store says what is wrong and who has to act, and only what may pass is tried again."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from flows.core.errors import (
    CredentialsRefused,
    ModelNotFound,
    PermanentError,
    SettingsError,
    SlipwayError,
    StoreUnavailable,
)
from flows.services.models import azure_blobs, s3_buckets
from flows.services.models.blob_store import BlobStore
from tests.stand_ins.http_server import QuietHandler, serving
from tests.stand_ins.own_certificate import own_certificate
from tests.stand_ins.refusing_store import RefusingStore, refusing_store

SIGNED = "sig=c2lnbmF0dXJl"
NO_OPERATION = "This request is not authorized to perform this operation"


@dataclass(frozen=True)
class Row:
    """An answer, the error that it becomes, and words of what that says."""

    status: int
    code: str
    error: type[SlipwayError]
    says: str
    message: str = "Server failed to authenticate the request."
    detail: str = ""


AZURE = {
    "expired signature": Row(
        403,
        "AuthenticationFailed",
        CredentialsRefused,
        "the shared access signature has expired, or is not valid yet. Create a new",
        detail="Signature not valid in the specified time frame: Start [Sun] - Expiry [Mon] - Current [Tue]",
    ),
    "clock skew": Row(
        403,
        "AuthenticationFailed",
        CredentialsRefused,
        "the clock of this machine differs by more than 15 minutes. Correct the clock",
        detail="Request date header too old: 'Mon, 30 Nov 2026 05:00:00 GMT'",
    ),
    "wrong key": Row(
        403,
        "AuthenticationFailed",
        CredentialsRefused,
        "the key is wrong, or was replaced. Set a valid connection_string",
        detail=f"The MAC signature found in the HTTP request '{SIGNED}' is not the same as any computed one",
    ),
    "wrong key of a signature": Row(
        403,
        "AuthenticationFailed",
        CredentialsRefused,
        "the key is wrong, or was replaced",
        detail=f"Signature did not match. String to sign used was {SIGNED}",
    ),
    "unknown": Row(
        403, "AuthenticationFailed", CredentialsRefused, "(403 AuthenticationFailed). Set a valid", "No."
    ),
    "token": Row(
        401,
        "InvalidAuthenticationInfo",
        CredentialsRefused,
        "the store does not accept this token of Entra ID. Check [azure] tenant",
        detail="Issuer validation failed. Issuer did not match.",
    ),
    "role missing": Row(
        403,
        "AuthorizationPermissionMismatch",
        CredentialsRefused,
        "Assign the role 'Storage Blob Data Contributor' on the container. A new role may take 30 minutes",
        message=f"{NO_OPERATION} using this permission.",
    ),
    "firewall": Row(
        403,
        "AuthorizationFailure",
        CredentialsRefused,
        "the firewall of the storage account does not let this machine in. Allow",
        message=f"{NO_OPERATION}.",
    ),
    "keys disabled": Row(
        403,
        "KeyBasedAuthenticationNotPermitted",
        CredentialsRefused,
        "the storage account accepts no keys. Set [azure] identity",
        message="Key based authentication is not permitted on this storage account.",
    ),
    "other address": Row(403, "AuthorizationSourceIPMismatch", CredentialsRefused, "another IP address"),
    "signature for less": Row(403, "AuthorizationServiceMismatch", CredentialsRefused, "does not cover"),
    "public access off": Row(
        409,
        "PublicAccessNotPermitted",
        CredentialsRefused,
        "the request had no credentials, and the account allows no public access",
        message="Public access is not permitted on this storage account.",
    ),
    "archived": Row(
        409,
        "BlobArchived",
        PermanentError,
        "has archived the object (409 BlobArchived). Bring it back to an online tier",
        message="This operation is not permitted on an archived blob.",
    ),
    "container missing": Row(404, "ContainerNotFound", ModelNotFound, "There is no container 'models'"),
    "wrong request": Row(400, "InvalidHeaderValue", SettingsError, "refuses the request (400 Invalid"),
    "throttled": Row(503, "ServerBusy", StoreUnavailable, "asks for fewer requests (503 ServerBusy)"),
    "throttled by count": Row(429, "TooManyRequests", StoreUnavailable, "asks for fewer requests (429"),
    "its own fault": Row(500, "InternalError", StoreUnavailable, "broke off (500 InternalError)"),
}

S3 = {
    "wrong key id": Row(403, "InvalidAccessKeyId", CredentialsRefused, "the key is wrong, or was replaced"),
    "wrong secret": Row(
        403, "SignatureDoesNotMatch", CredentialsRefused, "the key is wrong, or was replaced"
    ),
    "clock skew": Row(
        403,
        "RequestTimeTooSkewed",
        CredentialsRefused,
        "the clock of this machine differs",
        message="The difference between the request time and the current time is too large.",
    ),
    "session over": Row(400, "ExpiredToken", CredentialsRefused, "has expired. Sign in again"),
    "no right": Row(403, "AccessDenied", CredentialsRefused, "has no right to do this. Allow it s3:"),
    "archived": Row(403, "InvalidObjectState", PermanentError, "has archived the object"),
    "other region": Row(301, "PermanentRedirect", SettingsError, "is in another region (PermanentRedirect)"),
    "bucket missing": Row(404, "NoSuchBucket", ModelNotFound, "There is no bucket 'models'"),
    "throttled": Row(503, "SlowDown", StoreUnavailable, "asks for fewer requests (503 SlowDown)"),
}

Way = Callable[[BlobStore], object]
WAYS: dict[str, Way] = {
    "read": lambda store: store.read("tiny/latest.json"),
    "upload": lambda store: store.upload("tiny/model.onnx", [bytes(7)]),
}


@pytest.fixture
def refusing(trusted_server: ssl.SSLContext) -> Iterator[RefusingStore]:
    with refusing_store(trusted_server) as store:
        yield store


def require(store: BlobStore, refusing: RefusingStore, row: Row) -> None:
    """Each way to use the store ends with the row's error."""
    refusing.status, refusing.code, refusing.message, refusing.detail = (
        row.status,
        row.code,
        row.message,
        row.detail,
    )
    for name, way in WAYS.items():
        refusing.asked.clear()
        with pytest.raises(row.error) as refused:
            way(store)
        assert type(refused.value) is row.error, name
        assert row.says in str(refused.value), name
        assert "sig=" not in str(refused.getrepr(style="short"))
        if not issubclass(row.error, StoreUnavailable):
            assert len(refusing.asked) == 1, name


@pytest.mark.parametrize("row", AZURE.values(), ids=AZURE)
def test_a_refusal_of_azure_is_reported_by_its_cause(refusing: RefusingStore, row: Row) -> None:
    text = f"AccountName=account;AccountKey=a2V5;BlobEndpoint={refusing.url}/account"
    require(azure_blobs.azure("models", connection_string=text), refusing, row)


@pytest.mark.parametrize("row", S3.values(), ids=S3)
def test_a_refusal_of_s3_is_reported_by_its_cause(refusing: RefusingStore, row: Row) -> None:
    store = s3_buckets.s3(
        "models", region="eu-west-1", endpoint=refusing.url, access_key_id="k", secret_access_key="s"
    )
    require(store, refusing, row)


def test_a_certificate_that_is_not_trusted_is_no_outage() -> None:
    with serving(QuietHandler, own_certificate().server) as url:
        text = f"AccountName=account;AccountKey=a2V5;BlobEndpoint={url}/account"
        store = azure_blobs.azure("models", connection_string=text)
        with pytest.raises(SettingsError, match=r"is not trusted: .* Set \[network\] ca_bundle"):
            store.read("tiny/latest.json")
