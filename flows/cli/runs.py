"""Flow runs: listed, their logs, cancelled; and a person's answer to one that waits for approval."""

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from flows.cli import output
from flows.cli.follow import (
    DONE,
    exit_status,
    follow,
    follow_to_its_end,
    is_of_a_stage,
    line_text,
    outcome,
)
from flows.cli.options import By, EnvOption, Json, RunId, known_environment, requester
from flows.cli.server import Run, Server
from flows.config import load as configuration
from flows.core.errors import PermanentError, SettingsError
from flows.core.local_time import wall_time
from flows.core.trigger.run_labels import branch_tag, environment_tag

Branch = Annotated[str, typer.Option("--branch", help="Only for commits of this branch.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="How many, the newest first.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Until the run is over.")]
Comment = Annotated[str, typer.Option("--comment", help="Why. It is recorded.")]
Refusal = Annotated[str, typer.Option("--reason", help="Why. It is recorded and shown to others.")]


def runs(env: EnvOption = "", branch: Branch = "", limit: Limit = 20, as_json: Json = False) -> None:
    """List the newest runs."""
    tags = [environment_tag(known_environment(env))] if env else []
    tags += [branch_tag(branch)] if branch else []
    with Server() as server:
        found = server.recent(tags, limit)
    if as_json:
        output.print_json({"runs": [{**output.run_json(run), "flow": run.flow} for run in found]})
    else:
        zone = configuration.load().nights.zone
        rows = (_row(run, zone) for run in found)
        output.print_table(("RUN", "STARTED", "FLOW", "STATE", "WHAT"), rows)


def logs(run: RunId, until_its_end: Follow = False, as_json: Json = False) -> int:
    """Print what a run logged; with --follow until its end, and with its exit status."""
    with Server() as server:
        found = server.find(run)
        if until_its_end and not as_json:
            return follow_to_its_end(server, found, as_json=False)
        status = exit_status(follow(server, found, lambda _: None)) if until_its_end else DONE
        found, lines = server.run(found.id), server.lines(found)
    if as_json:
        output.print_json({"run": output.run_json(found), "lines": [output.line_json(one) for one in lines]})
        return status
    for line in filter(is_of_a_stage, lines):
        print(line_text(line))
    if found.is_over:
        print(outcome(found))
    return status


def cancel(run: RunId, as_json: Json = False) -> None:
    """Cancel a run. A cancelled release restores what was live; a run of `recover` verifies that."""
    with Server() as server:
        found = server.find(run)
        if found.is_over:
            raise PermanentError(
                f"Run {found.short} is over: {found.state_name}.", "There is nothing to cancel."
            )
        found = server.cancel(found, "Cancelled from the command line.")
    if as_json:
        output.print_json({"run": output.run_json(found)})
    else:
        print(f"{found.state_name}: {found.name}. Follow it with: slipway logs {found.short} --follow")


def approve(run: RunId, comment: Comment = "", by: By = "", as_json: Json = False) -> None:
    """Approve a run that waits for a person's word, as its page does."""
    _answer(run, {"approve": True, "comment": comment}, by, as_json=as_json)


def refuse(run: RunId, reason: Refusal, by: By = "", as_json: Json = False) -> None:
    """Refuse a run that waits for a person's word: it ends, and nothing is changed."""
    _answer(run, {"approve": False, "comment": reason}, by, as_json=as_json)


def _answer(run: str, form: dict[str, object], by: str, *, as_json: bool) -> None:
    name = requester(by)
    if not name:
        raise SettingsError(
            "The name of the person who decides is missing.", "Add --by NAME, or set git's user.name."
        )
    with Server() as server:
        found = server.find(run)
        server.answer(found, form | {"name": name})
    answer = "approved" if form["approve"] else "refused"
    if as_json:
        output.print_json({"run": output.run_json(found), "answer": answer, "by": name})
    else:
        print(f"{answer} by {name}: {found.name}. Follow it with: slipway logs {found.short} --follow")


def _row(run: Run, zone: ZoneInfo) -> tuple[str, ...]:
    started = wall_time(run.started, zone) if run.started else "-"
    return run.short, started, run.flow, run.state_name, run.name
