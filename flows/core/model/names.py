"""The form of names, versions and digests of models: they become paths in a store and on this machine."""

import re
from typing import Annotated

from pydantic import Field

from flows.core.untrusted import RealTime

LATEST = "latest.json"
"""The pointer's name, beside the versions."""

VERSION = r"^[A-Za-z0-9][-A-Za-z0-9._]{0,62}$"
DIGEST = r"^sha256:[0-9a-f]{64}$"

Version = Annotated[str, Field(pattern=VERSION)]
Digest = Annotated[str, Field(pattern=DIGEST)]
Moment = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"), RealTime
]
"""A time as RFC 3339 has it."""

StoreVersion = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,1024}$")]
"""A store's own id of one version of an object: a time in Azure, and opaque characters in S3."""


def is_version(text: str) -> bool:
    """Whether `text` can be a version: one segment of a path, of letters, digits, dots, dashes."""
    return re.fullmatch(VERSION, text) is not None and text != LATEST


def is_digest(text: str) -> bool:
    """Whether `text` is `sha256:` and 64 hex digits."""
    return re.fullmatch(DIGEST, text) is not None
