"""Which code and model a release of one half takes together."""

from datetime import UTC, datetime

import pytest

from flows.core.build.content import BuildContent, ModelVersion
from flows.core.errors import ReleaseRefused
from flows.core.release.pair import Pair, pair_of

LIVE = BuildContent(
    "a" * 40, ModelVersion("digits", "1.1.0", "sha256:1"), datetime(2026, 5, 4, tzinfo=UTC), "c"
)


@pytest.mark.parametrize(
    ("code", "model", "known", "pair"),
    [
        ("", "1.0.0", LIVE, Pair("a" * 40, "1.0.0")),
        ("4f2c9e1", "", LIVE, Pair("4f2c9e1", "1.1.0")),
        ("4f2c9e1", "1.0.0", LIVE, Pair("4f2c9e1", "1.0.0")),
        ("4f2c9e1", "1.0.0", None, Pair("4f2c9e1", "1.0.0")),
    ],
)
def test_the_half_that_was_not_named_stays_as_it_is(
    code: str, model: str, known: BuildContent | None, pair: Pair
) -> None:
    assert pair_of("staging", code, model, known, image="latest") == pair


@pytest.mark.parametrize(
    ("code", "image", "message"),
    [
        ("", "latest", "the other half is not known"),
        ("4f2c9e1", "sha256:1", r"an image \(sha256:1\) and a half"),
    ],
)
def test_a_pair_that_is_not_known_or_an_image_as_well_is_refused(code: str, image: str, message: str) -> None:
    with pytest.raises(ReleaseRefused, match=message):
        pair_of("staging", code, "1.0.0" if not code else "", None if not code else LIVE, image=image)
