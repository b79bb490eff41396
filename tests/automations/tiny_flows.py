"""Flows of a second or a minute, for tests of what Prefect does about their runs."""

import time

from prefect import flow

from flows.runtime import approval


@flow
def sleeps(seconds: float) -> None:
    time.sleep(seconds)


@flow
def asks() -> None:
    approval.ask("production", "4f2c9e1 + classifier 1.1.0, for Ada", 60)
