"""Tables of tests whose rows are much alike: the first run in `make test`, the others in `make test-slow`."""

from collections.abc import Sequence
from typing import Any

import pytest


def rest_slow(rows: Sequence[Any], first: int) -> list[Any]:
    """The rows for `parametrize`: those after the first few are slow tests."""
    return [*rows[:first], *(pytest.param(*_values(row), marks=pytest.mark.slow) for row in rows[first:])]


def _values(row: Any) -> tuple[Any, ...]:
    return row if isinstance(row, tuple) else (row,)
