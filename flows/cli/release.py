"""What changes an environment: release, rollback, hold, resume; and verify."""

from typing import Annotated

import typer

from flows.cli.follow import run_to_its_end
from flows.cli.options import (
    NO_REASON,
    By,
    Env,
    Json,
    Reason,
    environment_names,
    known_environment,
    requester,
)

Image = Annotated[str, typer.Option("--image", help="`latest`, a tag, a digest or a capsule's hash.")]
Model = Annotated[str, typer.Option("--model", help="A model's version, with the code that is live.")]
Code = Annotated[str, typer.Option("--code", help="A commit, with the model that is live.")]
Force = Annotated[bool, typer.Option("--force", help="Release whatever speaks against it; needs --reason.")]
To = Annotated[
    int | None, typer.Option("--to", help="A release's number.", show_default="the good one before")
]
OptionalEnv = Annotated[
    str,
    typer.Argument(help="An environment of slipway.toml, or `every`.", autocompletion=environment_names),
]


def release(
    env: Env,
    *,
    image: Image = "latest",
    model: Model = "",
    code: Code = "",
    reason: Reason = "",
    by: By = "",
    force: Force = False,
    as_json: Json = False,
) -> int:
    """Release an image to an environment, or to `every` one in turn.

    With --model or --code, that half is composed with the other half of what is live, and tried out, before.
    """
    asked = {"environment": known_environment(env), "image": image, "reason": reason, "force": force}
    halves = {name: half for name, half in (("model", model), ("code", code)) if half}
    return run_to_its_end("release/on-demand", asked | halves | {"by": requester(by)}, as_json=as_json)


def rollback(
    env: Env, *, to: To = None, reason: Reason = NO_REASON, by: By = "", as_json: Json = False
) -> int:
    """Go back to an earlier good release, and hold the environment there."""
    asked = {"environment": known_environment(env), "release": to, "reason": reason}
    return run_to_its_end("rollback/on-demand", asked | {"by": requester(by)}, as_json=as_json)


def hold(env: Env, *, reason: Reason = NO_REASON, by: By = "", as_json: Json = False) -> int:
    """Keep what is live: the nightly release skips the environment."""
    asked = {"environment": known_environment(env), "reason": reason, "by": requester(by)}
    return run_to_its_end("hold/on-demand", asked, as_json=as_json)


def resume(env: Env, *, reason: Reason = "", by: By = "", as_json: Json = False) -> int:
    """Lift a hold: the next nightly release includes the environment again."""
    asked = {"environment": known_environment(env), "reason": reason, "by": requester(by)}
    return run_to_its_end("resume/on-demand", asked, as_json=as_json)


def verify(env: OptionalEnv = "every", *, as_json: Json = False) -> int:
    """Check again from outside that what is live answers as it must."""
    return run_to_its_end("verify/on-demand", {"environment": known_environment(env)}, as_json=as_json)
