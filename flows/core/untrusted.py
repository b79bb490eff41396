"""Content from other systems and people: read within limits, before its fields are validated."""

import zlib
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime
from pydantic_core import from_json

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def parsed_json(content: bytes | str, *, nan: bool = False) -> Any:
    """The values; `ValueError` for what is no JSON, holds half a character, or nests too deep.

    NaN is an error too, unless the caller allows it with `nan` and reports it better itself.
    """
    return from_json(content, allow_inf_nan=nan)


def unzipped(content: bytes, limit: int) -> bytes:
    """What gzip has compressed; `ValueError` where it is damaged, or has more than `limit` bytes."""
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = reader.decompress(content, limit)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not reader.eof:
        raise ValueError(f"it is cut off, or has more than {limit} bytes")
    return found


def _in_range(moment: datetime) -> datetime:
    """The moment, if it is far enough from the first and last ones for sums and time zones."""
    if not EARLIEST <= moment < LATEST:
        raise ValueError("is no time between 1970 and 9000")
    return moment


Instant = Annotated[AwareDatetime, AfterValidator(_in_range)]
"""A moment, with its offset."""


def _real(text: str) -> str:
    _in_range(datetime.fromisoformat(text))
    return text


RealTime = AfterValidator(_real)
"""Validates a text in RFC 3339's form: the date and the time exist."""
