"""A schedule means the same to Prefect and to what judges the nights, or it is refused."""

from datetime import datetime
from typing import Any

import pytest
from cronsim import CronSim
from prefect._vendor import croniter  # what Prefect's scheduler uses

from flows.core.cron import dispute

TAKEN = [
    "0 2 * * *",
    "30 1 * * 1-5",
    "0 2 * * mon-fri",
    "0 2 * * SUN",
    "0 2 * * 7",
    "*/15 * * * *",
    "0-59/7 2 * * *",
    "0,30 2,3 1,15 * *",
    "0 2 */2 * *",
    "0 2 31 * *",
    "0 2 29 2 *",
    "0 2 * jan,jul *",
    "0 2 1 * mon",
    "0  2 * *\t*",
]
DISPUTED = [
    "0 0 2 * * *",
    "0 2 * *",
    "@daily",
    "0 2 LW * *",
    "0 2 L * *",
    "0 2 15W * *",
    "0 2 * * 5L",
    "0 2 * * 5#2",
    "0 2 ? * mon",
    "H 2 * * *",
    "R 2 * * *",
    "5/15 * * * *",
    "0 22-2 * * *",
    "0 2-2 * * *",
    "0 2 * 9-sep *",
    "0 2 */2 * mon",
    "0 2 1 * */2",
    "0 2 1-5,*/10 * *",
    "0 2 */15 * *",
    "0 2 2,22,31 * *",
    "+1 2 * * *",
    "",
]


@pytest.mark.parametrize("expression", TAKEN)
def test_what_both_read_the_same_is_taken(expression: str) -> None:
    assert dispute(expression) is None
    start = datetime(2026, 1, 1)
    ours: Any = CronSim(expression, start)
    theirs: Any = croniter.croniter(expression, start)  # type: ignore[attr-defined,no-untyped-call]  # untyped
    assert [next(ours) for _ in range(400)] == [theirs.get_next(datetime) for _ in range(400)]


@pytest.mark.parametrize("expression", DISPUTED)
def test_what_is_read_in_more_than_one_way_is_refused(expression: str) -> None:
    assert dispute(expression) is not None
