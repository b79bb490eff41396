"""The blob store that slipway.toml names by a Prefect block."""

import uuid
from collections.abc import Iterator

import httpx
import pytest
from prefect_aws import AwsClientParameters, AwsCredentials
from pydantic import SecretStr

from deployments.prefect.api import PrefectApi
from flows.config.schema import ModelSettings
from flows.core.errors import SettingsError
from flows.credentials import environment, prefect_blocks
from flows.services.models import s3_buckets
from tests.support.prefect_client import talking_to


@pytest.fixture
def name(prefect_server: PrefectApi) -> Iterator[str]:
    """Of a block that is to be saved, and of a bucket."""
    with talking_to(prefect_server):
        yield f"models-{uuid.uuid4().hex[:8]}"


def test_models_are_in_the_bucket_that_a_block_of_aws_leads_to(name: str, s3_endpoint: str) -> None:
    httpx.put(f"{s3_endpoint}/{name}", trust_env=False).raise_for_status()
    AwsCredentials(
        aws_access_key_id="key",
        aws_secret_access_key=SecretStr("secret"),
        region_name="us-east-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=s3_endpoint),
    ).save(name, overwrite=True)
    wanted = ModelSettings(name="tiny", container=name, credentials=f"aws-credentials/{name}")
    prefect_blocks.blob_store(wanted).create("tiny/latest.json", b"{}")
    direct = s3_buckets.s3(
        name, region="us-east-1", endpoint=s3_endpoint, access_key_id="key", secret_access_key="secret"
    )
    assert direct.read("tiny/latest.json") == b"{}"


def test_a_run_by_hand_finds_the_bucket_by_the_variables_of_aws(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = f"models-{uuid.uuid4().hex[:8]}"
    wanted = ModelSettings(name="tiny", container=bucket, credentials="aws-credentials/models")
    httpx.put(f"{s3_endpoint}/{bucket}", trust_env=False).raise_for_status()
    for name, value in {
        "ENDPOINT_URL": s3_endpoint,
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": "s",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(SettingsError, match="set AWS_REGION"):
        environment.blob_store(wanted)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    environment.blob_store(wanted).create("tiny/latest.json", b"{}")
    assert environment.blob_store(wanted).read("tiny/latest.json") == b"{}"


def test_a_block_without_a_region_says_what_to_set(name: str) -> None:
    AwsCredentials(aws_access_key_id="key").save(name, overwrite=True)
    wanted = ModelSettings(name="tiny", container=name, credentials=f"aws-credentials/{name}")
    with pytest.raises(SettingsError, match="Set region_name in the Prefect block"):
        prefect_blocks.blob_store(wanted)


def test_a_block_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="credentials"):
        ModelSettings(name="tiny", credentials="secret/models")
