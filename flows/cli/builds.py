"""CI: through Prefect, or on this machine."""

from typing import Annotated

import typer

from flows.cli.follow import run_to_its_end
from flows.cli.options import Json

Ref = Annotated[
    str, typer.Option("--ref", help="A branch, a tag or a SHA.", show_default="the repository's HEAD")
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        help="`wanted`: the pinned version, else the newest; a version pins it; `newest` lifts the pin.",
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Run the tests even if they passed with the same content.")
]
Against = Annotated[
    str,
    typer.Option(
        "--against",
        help="Hold a duel with this image: a tag, capsule or digest.",
        show_default="what the last environment runs",
    ),
]
Force = Annotated[
    str,
    typer.Option(
        "--force",
        help="Move `latest` although the duel found the image worse, for this reason. It is recorded.",
    ),
]
Local = Annotated[
    bool, typer.Option("--local", help="Run the stages on this machine, without Prefect; pins nothing.")
]
Push = Annotated[bool, typer.Option("--push", help="With --local: push the image under its capsule's tag.")]

CREDENTIALS = """Credentials of --local, and what counts without them:

SLIPWAY_SOURCE_TOKEN: git's own on this machine.

SLIPWAY_REGISTRY_USERNAME, SLIPWAY_REGISTRY_PASSWORD: the registry's `login` in slipway.toml, or docker login.

SLIPWAY_MODEL_CONNECTION_STRING: az login, at the account of SLIPWAY_MODEL_ACCOUNT_URL.

SLIPWAY_AZURE_SECRET: needed if [azure] names a service principal.

AWS_REGION, AWS_ACCESS_KEY_ID and so on, for a bucket: the machine's role."""


def ci(
    *,
    ref: Ref = "HEAD",
    model: Model = "wanted",
    fresh: Fresh = False,
    against: Against = "",
    force: Force = "",
    on_this_machine: Local = False,
    push: Push = False,
    as_json: Json = False,
) -> int:
    """Test and build the image of a commit and a model, and move `latest` to it where it is due."""
    if on_this_machine:
        if against or force:
            raise typer.BadParameter("--local holds no duel: leave --against and --force out.")
        if as_json:
            raise typer.BadParameter("--local prints no JSON: leave --json out.")
        from flows.cli import local_ci  # noqa: PLC0415  # it imports what builds images

        local_ci.run(ref, model, push=push, fresh=fresh)
        return 0
    if push:
        raise typer.BadParameter("--push belongs to --local: a run through Prefect always pushes.")
    asked = {"ref": ref, "model": model, "fresh": fresh}
    given = {"against": against, "force": force}
    return run_to_its_end(
        "ci/commit", asked | {key: value for key, value in given.items() if value}, as_json=as_json
    )
