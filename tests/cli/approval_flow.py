"""A flow that asks for approval as a release does, and prints the answer."""

from prefect import flow

from flows.runtime import approval


@flow
def asks() -> None:
    print(approval.ask("production", "4f2c9e1 + classifier 1.1.0, for Ada", 600), flush=True)
