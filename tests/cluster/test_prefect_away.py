"""Programs of administrators, while Prefect's server is away."""

from collections.abc import Callable

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.cluster import bootstrap
from deployments.prefect import automations
from flows.config.load import load
from flows.core.errors import PrefectUnavailable


@pytest.mark.parametrize(
    "program",
    [lambda: automations.ensure(load()), lambda: bootstrap.prepare(load(), "staging", print)],
    ids=["automations", "bootstrap"],
)
def test_a_server_that_is_away_is_named(program: Callable[[], object]) -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}),
        pytest.raises(PrefectUnavailable, match="does not answer"),
    ):
        program()
