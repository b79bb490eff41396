"""Signing in to a bucket by single sign-on, with the token that `aws sso login` leaves.

Each sign-in is a process of its own: boto3 looks for the token below the home that it was imported with.
"""

import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from flows.config.load import CHECKOUT
from tests.stand_ins.sso_portal import KEY_OF_THE_ROLE, SsoPortal, sso_portal

SESSION, TOKEN, REFRESHED = "acme", "token-of-a-morning", "token-of-an-afternoon"
CONFIG = """
[profile models]
region = eu-west-1
sso_session = {session}
sso_account_id = {account}
sso_role_name = {role}

[sso-session {session}]
sso_start_url = https://acme.awsapps.com/start
sso_region = eu-west-1
"""
PROGRAM = """
import sys
from flows.core.errors import SlipwayError
from flows.core.model.store_address import StoreAddress
from flows.services.models.azure_blobs import NO_IDENTITY
from flows.services.models.blob_providers import opened

store = opened(StoreAddress("s3", sys.argv[1]), None, NO_IDENTITY)
try:
    store.replace("x", b"1")
    assert store.read("x") == b"1"
except SlipwayError as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(store.sign_in()["access_key_id"])
"""
SignedIn = Callable[..., None]
Used = Callable[[], tuple[int, str]]


@pytest.fixture
def portal() -> Iterator[SsoPortal]:
    with sso_portal() as found:
        yield found


@pytest.fixture
def signed_in(tmp_path: Path) -> SignedIn:
    """Leaves what `aws sso login` does: a token that ends at that time, and what it is renewed with."""

    def leave(ends: datetime, **further: str) -> None:
        kept = {"accessToken": TOKEN, "expiresAt": f"{ends:%FT%TZ}", "region": "eu-west-1", **further}
        cache = tmp_path / ".aws" / "sso" / "cache"
        cache.mkdir(parents=True)
        name = hashlib.sha1(SESSION.encode(), usedforsecurity=False).hexdigest()
        (cache / f"{name}.json").write_text(json.dumps(kept))

    return leave


@pytest.fixture
def used(s3_endpoint: str, portal: SsoPortal, tmp_path: Path) -> Used:
    """Writes and reads a new bucket as the profile; exit status, and the key id or the error."""

    def use() -> tuple[int, str]:
        bucket = f"models-{uuid.uuid4().hex[:8]}"
        httpx.put(f"{s3_endpoint}/{bucket}", trust_env=False).raise_for_status()
        (tmp_path / "config").write_text(
            CONFIG.format(session=SESSION, account=portal.account, role=portal.role)
        )
        ours = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        variables = {
            "HOME": str(tmp_path),
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_PROFILE": "models",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": s3_endpoint,
            "AWS_ENDPOINT_URL_SSO": portal.url,
            "AWS_ENDPOINT_URL_SSO_OIDC": portal.url,
        }
        command = [sys.executable, "-c", PROGRAM, bucket]
        done = subprocess.run(
            command, cwd=CHECKOUT, env=ours | variables, capture_output=True, text=True, check=False
        )
        return done.returncode, (done.stdout or done.stderr).strip()

    return use


def hours(number: int) -> datetime:
    return datetime.now(UTC) + timedelta(hours=number)


def test_a_token_that_is_kept_gives_the_keys_of_the_profiles_role(
    portal: SsoPortal, signed_in: SignedIn, used: Used
) -> None:
    portal.tokens.add(TOKEN)
    signed_in(ends=hours(8))
    assert used() == (0, KEY_OF_THE_ROLE)


def test_a_token_that_has_ended_is_renewed_while_the_session_lasts(
    portal: SsoPortal, signed_in: SignedIn, used: Used
) -> None:
    portal.refresh_tokens["a-refresh-token"] = REFRESHED
    client = {"clientId": "a-client", "clientSecret": "a-secret", "refreshToken": "a-refresh-token"}
    signed_in(ends=hours(-1), registrationExpiresAt=f"{hours(24):%FT%TZ}", **client)
    assert used() == (0, KEY_OF_THE_ROLE)
    assert portal.tokens == {REFRESHED}


@pytest.mark.parametrize("ends", [-1, 8], ids=["ended", "revoked"])
def test_a_session_that_is_over_asks_for_a_new_sign_in(signed_in: SignedIn, used: Used, ends: int) -> None:
    signed_in(ends=hours(ends))
    status, said = used()
    assert status == 1
    assert said.startswith("CredentialsRefused: AWS does not sign this machine in: ")
    assert "aws sso login" in said
    assert TOKEN not in said
