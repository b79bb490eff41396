"""Signing in at Elastic Container Registry as AWS's own tools do on this machine."""

import re
from base64 import b64decode
from datetime import timedelta

from flows.core.errors import CredentialsRefused, RegistryUnavailable, SettingsError, SlipwayError
from flows.services.registry import refusals
from flows.services.registry.auth import Credentials
from flows.services.registry.cached_login import CachedLogin, ExpiringCredentials

ADDRESS = re.compile(r"^\d{12}\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.")
"""https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html"""

RENEWED_BEFORE = timedelta(hours=1)
"""Before its end, a password is replaced, so that it outlasts a push. AWS's last 12 hours."""

HOW_TO_CORRECT = (
    "Allow the AWS identity of this machine the ECR actions for the repository: those of "
    "AmazonEC2ContainerRegistryPowerUser to push, those of AmazonEC2ContainerRegistryReadOnly to pull."
)
SIGN_IN = "Set AWS_PROFILE or AWS's other variables where the worker runs, or give the machine a role."

THROTTLED = re.compile(r"throttl|toomanyrequests|requestlimit", re.IGNORECASE)
NO_RIGHT = "AccessDenied"
"""How the codes begin that ECR and STS give to an identity without the right (AWS, "Common Errors")."""


def aws_login(address: str) -> CachedLogin:
    """The login at the registry of that address, which names the region.

    `SettingsError` where the address is none of ECR, or the machine has no identity of AWS;
    `CredentialsRefused` where AWS does not accept that identity, or it may not sign in at ECR;
    `RegistryUnavailable` where AWS is away or throttles.
    """
    return CachedLogin(lambda: _given(address))


def _given(address: str) -> ExpiringCredentials:
    import boto3  # noqa: PLC0415  # takes half a second to import
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415  # as above

    if (found := ADDRESS.match(address)) is None:
        raise SettingsError(
            f"{address} is no address of AWS's container registry.",
            "Correct [registry] address; it is like 123456789012.dkr.ecr.eu-central-1.amazonaws.com. Else "
            "set another [registry] login.",
        )
    try:
        client = boto3.client("ecr", region_name=found["region"])
        (answer,) = client.get_authorization_token()["authorizationData"]
    except ClientError as error:
        raise _refusal(address, error.response) from error
    except HTTPClientError as error:
        url = f"https://api.ecr.{found['region']}.amazonaws.com"
        raise refusals.unreachable(f"{address} (its login)", url, error) from error
    except BotoCoreError as error:
        raise SettingsError(f"This machine has no working identity of AWS: {error}.", SIGN_IN) from error
    username, _, password = b64decode(answer["authorizationToken"]).decode().partition(":")
    return ExpiringCredentials(
        Credentials(address, username, password, HOW_TO_CORRECT), answer["expiresAt"] - RENEWED_BEFORE
    )


def _refusal(address: str, answer: object) -> SlipwayError:
    assert isinstance(answer, dict)
    code, said = answer["Error"].get("Code", ""), answer["Error"].get("Message", "")
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    happened = f"AWS gives no login at {address}: {code}: {said}."
    if THROTTLED.search(code) or status >= 500:
        return RegistryUnavailable(happened)
    if code.startswith(NO_RIGHT):
        return CredentialsRefused(
            happened, "Allow the AWS identity of this machine ecr:GetAuthorizationToken."
        )
    return CredentialsRefused(
        happened, "Sign this machine in to AWS again (aws sso login), or correct the keys that it has."
    )
