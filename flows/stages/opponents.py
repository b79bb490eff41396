"""The stage that finds out what a candidate is compared with, on which examples, or why on none."""

from dataclasses import dataclass

from flows.core.build.image import Image
from flows.core.duel.comparison import comparable, what_differs
from flows.core.duel.duel import NoDuel
from flows.core.duel.golden_set import GoldenExample, GoldenSet
from flows.core.duel.live import LiveImage
from flows.core.errors import ImageNotFound
from flows.core.release.decision import Candidate
from flows.stages.ci import Inputs
from flows.stages.context import RunContext
from flows.stages.resolve_image import find_candidate


@dataclass(frozen=True)
class Opponents:
    """Both sides of a duel: the candidate's image, and what it is compared with.

    `where` says why it is compared with that, such as "live in production". `examples` are those whose label
    both models know.
    """

    golden: GoldenSet
    image: Image
    live: Candidate
    where: str
    examples: tuple[GoldenExample, ...]
    notes: tuple[str, ...] = ()


def find_opponents(
    run: RunContext, inputs: Inputs, image: Image, live: LiveImage | None, against: str
) -> Opponents | NoDuel:
    """Both sides and the golden set, or why there is no duel.

    `live` is what the last environment runs, if that is known; `against` names another image in its place.
    Without either, it is the image that `latest` names.
    """
    found = _find_opponents(run, inputs, image, live, against)
    if isinstance(found, NoDuel):
        run.say(f"No duel: {found.reason}.")
    else:
        run.say(f"{found.golden}: {len(found.examples)} examples, against {found.live}, {found.where}.")
    return found


def _find_opponents(
    run: RunContext, inputs: Inputs, image: Image, live: LiveImage | None, against: str
) -> Opponents | NoDuel:
    if run.settings.duel is None:
        return NoDuel("slipway.toml has no table [duel]")
    golden = run.golden_sets.newest(inputs.model.name)
    if golden is None:
        return NoDuel(
            f"{inputs.model.name} has no golden set; publish one: slipway evaluation publish FOLDER"
        )
    pointer = run.registry.pointer()
    if pointer is not None and pointer.digest == image.digest and not against:
        return NoDuel("latest names the same image already, for another commit")
    wanted, where = _whom(run, live, against)
    if not wanted:
        return NoDuel("nothing was released, and latest names no image")
    try:
        other = find_candidate(run, wanted)
    except ImageNotFound as missing:
        if against:
            raise
        return NoDuel(f"what is {where} can't be asked: {missing.happened.rstrip('.')}")
    if other.image.digest == image.digest:
        return NoDuel(f"the image is what is {where}")
    own = run.model_manifest(image, inputs.capsule.hash)
    examples, unknown = comparable(golden, own.labels, other.manifest.labels)
    if not examples:
        return NoDuel(f"no label of {golden} is known to both models")
    notes = what_differs(golden, examples, unknown, own, other.manifest)
    return Opponents(golden, image, other, where, tuple(examples), notes)


def _whom(run: RunContext, live: LiveImage | None, against: str) -> tuple[str, str]:
    """The image to compare with, and what it is; "" where there is none."""
    if against:
        return against, f"{against}, which was asked for"
    if live is not None:
        return live.digest, f"live in {list(run.settings.environments)[-1]}"
    pointer = run.registry.pointer()
    return (pointer.digest if pointer else "", "latest")
