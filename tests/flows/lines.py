"""A team's line for the tests of one file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.conftest import Line, new_line
from tests.flows.environments import Place
from tests.support.platform_under_test import PlatformUnderTest


@contextmanager
def line_with_image(platform: PlatformUnderTest, folder: Path, *places: Place) -> Iterator[Line]:
    """One with a first good image; those environments are empty then, and afterwards again.

    The variables that it sets hold as long as the context.
    """
    with pytest.MonkeyPatch.context() as variables:
        line = new_line(platform, folder / "team", variables)
        for place in places:
            place.empty()
        line.mint()
        yield line
        for place in places:
            place.empty()
