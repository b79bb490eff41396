"""What a store's refusal means and who has to act, by its status, its error code and its explanation.

https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import re
from dataclasses import dataclass

from flows.core.errors import (
    CredentialsRefused,
    PermanentError,
    SettingsError,
    SlipwayError,
    StoreUnavailable,
)
from flows.services.process.network_faults import through_proxy

PASSES_BY_ITSELF = (408, 409, 429)
THROTTLED = ("ServerBusy", "SlowDown", "TooManyRequests")
OVERTAKEN = "InvalidBlockList"
NEW_SIGNATURE = "Create a new shared access signature for the container, and save it in the block."
KEY_IS_WRONG = "the key is wrong, or was replaced"


@dataclass(frozen=True)
class Answer:
    """What the store, or the way to it, said when `asked`, a URL, was sent to.

    `explanation` and `asked` may hold a signature: they are never shown.
    """

    status: int | None
    code: str
    explanation: str
    reason: str
    asked: str

    @property
    def codes(self) -> str:
        """Status and code, as far as there are any."""
        return " ".join(filter(None, [str(self.status or ""), self.code]))


@dataclass(frozen=True)
class Meaning:
    """Of the answers with one of these codes, and with an explanation that `says` this, a regular expression.

    `remedy` is "" where the store's credentials have to be corrected.
    """

    codes: tuple[str, ...]
    says: str
    what: str
    remedy: str = ""


REFUSALS = (
    Meaning(
        ("AuthenticationFailed", "AuthorizationFailure"),
        r"not valid in the specified time frame|expiry|expired",
        "the shared access signature has expired, or is not valid yet",
        NEW_SIGNATURE,
    ),
    Meaning(
        ("AuthenticationFailed", "RequestTimeTooSkewed"),
        r"date header too old|request time and the current time",
        "the clock of this machine differs by more than 15 minutes",
        "Correct the clock: switch time synchronization on (timedatectl set-ntp true).",
    ),
    Meaning(
        ("AuthenticationFailed", "AuthorizationFailure"),
        r"mac signature|signature did not match|make sure the value of the authorization header",
        KEY_IS_WRONG,
    ),
    Meaning(("SignatureDoesNotMatch", "InvalidAccessKeyId"), "", KEY_IS_WRONG),
    Meaning(
        ("InvalidAuthenticationInfo",),
        "",
        "the store does not accept this token of Entra ID",
        "Check [azure] tenant, which must be the directory of the storage account, and this machine's clock.",
    ),
    Meaning(
        ("AuthorizationPermissionMismatch",),
        "",
        "the identity lacks a role, or the shared access signature a permission",
        "Assign the role 'Storage Blob Data Contributor' on the container. A new role may take 30 minutes to "
        "count.",
    ),
    Meaning(
        ("AuthorizationFailure",),
        "",
        "the firewall of the storage account does not let this machine in",
        "Allow this machine's network under Networking of the storage account. From the same region, only a "
        "virtual network rule or a private endpoint helps; rules for IP addresses don't count there.",
    ),
    Meaning(
        ("AuthorizationSourceIPMismatch",),
        "",
        "the shared access signature is for another IP address",
        NEW_SIGNATURE,
    ),
    Meaning(
        (
            "AuthorizationProtocolMismatch",
            "AuthorizationResourceTypeMismatch",
            "AuthorizationServiceMismatch",
        ),
        "",
        "the shared access signature does not cover this request",
        NEW_SIGNATURE,
    ),
    Meaning(
        ("KeyBasedAuthenticationNotPermitted",),
        "",
        "the storage account accepts no keys",
        'Set [azure] identity in slipway.toml, and store = "az://<account>/<container>" without credentials.',
    ),
    Meaning(
        ("PublicAccessNotPermitted", "NoAuthenticationInformation"),
        "",
        "the request had no credentials, and the account allows no public access",
    ),
    Meaning(
        ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"),
        "",
        "the session token has expired",
        "Sign in again (aws sso login), or save the keys of a new session in the block.",
    ),
    Meaning(
        ("AccessDenied",),
        "",
        "the identity has no right to do this",
        "Allow it s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its "
        "objects; with versioning also s3:GetObjectVersion.",
    ),
)
"""The first one that fits counts."""

ARCHIVED = ("BlobArchived", "BlobBeingRehydrated", "InvalidObjectState")
OTHER_REGION = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")


def read(text: str) -> Answer:
    """The answer in the text of an error of obstore."""
    status = re.search(r"status code: (\d{3})", text)
    code = re.search(r"<Code>(\w+)</Code>", text)
    asked = re.search(r"https?://[^\s,)]+", text)
    # what obstore says of a redirect without an address, whose status and code it leaves out
    redirected = OTHER_REGION[0] if "incorrectly configured region" in text else ""
    explanation = " ".join(re.findall(r"<(?:AuthenticationErrorDetail|Message)>([^<]*)", text))
    return Answer(
        int(status[1]) if status else None,
        code[1] if code else redirected,
        explanation,
        _network_reason(text),
        asked[0] if asked else "",
    )


def is_refusal(answer: Answer) -> bool:
    """Whether the store refuses the credentials or what they may do: some such answers have 400 or 409."""
    if answer.code in ARCHIVED:
        return False
    return answer.status in {401, 403} or any(answer.code in meaning.codes for meaning in REFUSALS)


def refusal(answer: Answer, place: str, how_to_sign_in: str) -> SlipwayError:
    """The error of an answer that `is_refusal`; `how_to_sign_in` is the remedy of an unknown cause."""
    reason = answer.codes or "no identity was found on this machine"
    for meaning in REFUSALS:
        if answer.code in meaning.codes and re.search(meaning.says, answer.explanation, re.IGNORECASE):
            return CredentialsRefused(
                f"The {place} refuses access ({reason}): {meaning.what}.",
                meaning.remedy or how_to_sign_in,
            )
    return CredentialsRefused(f"The {place} refuses access ({reason}).", how_to_sign_in)


def failure(answer: Answer, place: str) -> SlipwayError:
    """The error of any other answer: `StoreUnavailable` where it may pass, else `PermanentError`."""
    if answer.code in ARCHIVED:
        return PermanentError(
            f"The {place} has archived the object ({answer.codes}).",
            "Bring it back to an online tier (az storage blob set-tier --tier Hot), and wait until that is "
            "done: it takes hours.",
        )
    if answer.code in OTHER_REGION:
        return SettingsError(
            f"The {place} is in another region ({answer.codes}).",
            "Correct region_name in the block, or AWS_REGION.",
        )
    if answer.code == OVERTAKEN:
        return StoreUnavailable(
            f"Another writer of the same object in the {place} was faster.", "Start the run again."
        )
    if answer.code in THROTTLED or answer.status == 429:
        return StoreUnavailable(
            f"The {place} is busy, and asks for fewer requests ({answer.codes}).",
            "Retry the run later; if it stays so, spread the runs, or raise the account's limits.",
        )
    if answer.status is not None and answer.status < 500 and answer.status not in PASSES_BY_ITSELF:
        return SettingsError(
            f"The {place} refuses the request ({answer.codes}).",
            "Check the store in slipway.toml, and the block that its credentials name.",
        )
    reason = answer.codes or answer.reason + through_proxy(answer.asked)
    return StoreUnavailable(
        f"The {place} can't be reached, or broke off ({reason}).",
        "Check that it runs and that this machine reaches it.",
    )


def _network_reason(text: str) -> str:
    """The innermost reason that the HTTP client gives, e.g. "Connection refused"."""
    for pattern in (r'(?:message|error): "([^"]+)"', r"kind: (\w+)"):
        if reasons := re.findall(pattern, text):
            return str(reasons[-1])
    return text.splitlines()[0]
