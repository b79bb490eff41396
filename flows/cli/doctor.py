"""`slipway doctor`: a look at everything that a run will need."""

from dataclasses import asdict
from typing import Annotated

import typer

from flows.cli.connection import connection
from flows.cli.options import Json
from flows.cli.output import print_json, print_table
from flows.core.doctor.finding import explained, summary, worst
from flows.core.errors import SettingsError

Attach = Annotated[
    bool,
    typer.Option(
        "--attach",
        help="Also have a node of each cluster pull the newest image, as the administrator of `context`.",
    ),
]


def doctor(*, attach: Attach = False, as_json: Json = False) -> int:
    """Check settings, credentials, rights, clusters and Prefect: what a run needs, before it runs.

    It changes nothing. Exit status 1 if a check failed.
    """
    no_server = None
    try:
        connection().export()
    except SettingsError as error:  # which has its row
        no_server = error
    from flows.checks.doctor import look  # noqa: PLC0415  # it imports Prefect

    found = look(no_server, attach=attach)
    state = worst(found)
    if as_json:
        print_json({"state": state, "findings": [asdict(one) for one in found]})
    else:
        print_table(("STATE", "WHAT", "SEEN"), ((one.state, one.subject, one.seen) for one in found))
        print("\n".join(["", *explained(found), summary(found)]))
    return int(state == "failed")
