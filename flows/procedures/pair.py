"""A release of one half: a run of ci composes it with the other half of what is live, and tries that out."""

from dataclasses import replace

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from flows.core.build.content import BuildContent
from flows.core.errors import PermanentError
from flows.core.release import record as records
from flows.core.release.decision import Request
from flows.core.release.pair import Pair, pair_of
from flows.core.trigger.run_labels import image_of
from flows.runtime import artifacts
from flows.stages.context import RunContext


def composed_pair(run: RunContext, request: Request, code: str, model: str) -> tuple[Request, str]:
    """The request for the image of that pair, which a run of ci has composed and tried out; that run's id.

    `code` is a commit, `model` a version, "" where the other half stays as it is. No model is pinned by it.
    """
    pair = pair_of(
        request.environment, code, model, _known(run, request.environment), image=request.image or ""
    )
    built = _built(run, pair)
    with get_client(sync_client=True) as client:
        tags = client.read_flow_run(built.id).tags
    image = image_of(tags)
    if image is None:
        raise PermanentError(
            f"The run of ci for {pair} ended without an image.", f"Read its report: {_page(built)}."
        )
    run.say(f"{pair} is {image}, by the run {_page(built)}.")
    reason = f"{request.reason} ({pair}, composed by run {built.id})".strip()
    return replace(request, image=image, reason=reason), str(built.id)


def _known(run: RunContext, environment: str) -> BuildContent | None:
    live = records.live(run.releases(environment).history())
    if live is not None:
        return live.content
    pointer = run.registry.pointer()
    return pointer.content if pointer else None


def _built(run: RunContext, pair: Pair) -> FlowRun:
    """The run of ci for the pair, once it has ended well; `PermanentError` where it did not."""
    deployment = run.settings.watch.deployment
    run.say(f"{deployment} composes {pair}, and tries it out.")
    asked = {"ref": pair.commit, "model": pair.model, "pin": False}
    built = run_deployment(deployment, parameters=asked, timeout=None, as_subflow=True, poll_interval=2)
    assert isinstance(built, FlowRun), "it is not awaited by a coroutine"
    if built.state is None or not built.state.is_completed():
        said = (built.state and built.state.message) or "it gave no reason."
        raise PermanentError(
            f"The run of ci for {pair} did not end well, and nothing was released: {said}",
            f"Read its report: {_page(built)}.",
        )
    return built


def _page(built: FlowRun) -> str:
    return artifacts.link(str(built.id)) or str(built.id)
