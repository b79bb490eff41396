"""What a new model and a new commit cost with an image of two halves, and with one that docker builds whole.

`python -m benchmarks.halves` starts a registry of its own. Models are random bytes, which no compression
makes smaller. Each way runs in every round, in turn, and its best counts: a shared machine only adds time.
The stages run without Prefect; the trigger and the fetch of a model have rows of their own in
benchmarks.triggers and benchmarks.model_fetch.
"""

import argparse
import hashlib
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from flows.core.build.image import Image
from flows.core.model.model import Model
from flows.services.registry.manifest import ImageManifest
from flows.stages import ci, halves
from flows.stages.ci import Fetched, Inputs
from flows.stages.context import RunContext
from tests.flows.team import MODELS, Team
from tests.support.private_registry import private_registry
from tests.support.team_apart import a_run, base_image_in, team_apart

T = TypeVar("T")
MB = 1 << 20
SMALL, LARGE = 18, 300
GOAL_SMALL, GOAL_RATIO, GOAL_BYTES = 4.0, 3.0, 100_000


@dataclass
class Clock:
    """The best time of each row, in seconds."""

    best: dict[str, float]

    def __call__(self, row: str, what: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = what()
        taken = time.perf_counter() - started
        self.best[row] = min(self.best.get(row, taken), taken)
        return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare halves with images that docker builds whole.")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        private_registry(Path(folder)) as login,
        base_image_in(login) as base,
        team_apart(Path(folder), login, base) as team,
    ):
        clock = Clock({})
        for _ in range(arguments.rounds):
            for size in (SMALL, LARGE):
                compare(size, clock)
        tell(clock.best)
        tell_bytes(team)


def compare(size: int, clock: Clock) -> None:
    """A model-only change, both ways."""
    name = f"{size} MB"
    with a_run() as run:
        inputs, fetched = with_model(run, size)
        whole_change(run, inputs, fetched, clock, name)
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("SLIPWAY_APP__MODEL_PATH", "")
        variables.setenv("SLIPWAY_APP__DOCKERFILE", "Dockerfile")
        with a_run() as run:
            inputs, fetched = with_model(run, size)
            built = clock(f"{name}: docker build", lambda: ci.build_image(run, inputs, fetched.folder))
            clock(f"{name}: docker push", lambda: ci.push_as(run, built, inputs.tag))


def whole_change(run: RunContext, inputs: Inputs, fetched: Fetched, clock: Clock, name: str) -> Image:
    """All stages from the sealed capsule to the tag, with a code half that is there."""
    if halves.find_code_half(run, inputs) is None:
        halves.push_code_half(run, inputs, halves.build_code_half(run, inputs))

    def change() -> Image:
        ci.find_image(run, inputs)
        halves.find_model_half(run, inputs)
        model = clock(f"{name}: push model half", lambda: halves.push_model_half(run, inputs, fetched))
        code = halves.find_code_half(run, inputs)
        assert code
        image = clock(f"{name}: compose image", lambda: halves.compose_image(run, inputs, code, model))
        pulled = clock(f"{name}: pull image", lambda: halves.pull_image(run, image))
        clock(f"{name}: smoke test", lambda: ci.smoke_test(run, inputs, pulled, fetched.folder))
        return clock(f"{name}: tag image", lambda: halves.tag_image(run, inputs, image, model))

    return clock(f"{name}: from find image to the tag", change)


def with_model(run: RunContext, size: int) -> tuple[Inputs, Fetched]:
    """The newest commit with a new random model of so many megabytes, which the team's app never opens."""
    folder = Path(tempfile.mkdtemp(dir=run.workspace))
    digest = hashlib.sha256()
    with (folder / "model.onnx").open("wb") as file:
        for _ in range(size):
            digest.update(part := os.urandom(MB))
            file.write(part)
    manifest = replace(
        ci.read_manifest(MODELS / "digits"), digest=f"sha256:{digest.hexdigest()}", size=size * MB
    )
    (folder / "manifest.json").write_bytes(manifest.to_bytes())
    model: Model = manifest.model
    return ci.seal_capsule(run, ci.resolve_commit(run, "HEAD"), model), Fetched(folder, "")


def tell(best: dict[str, float]) -> None:
    for row, taken in best.items():
        print(f"{row:40} {taken:7.2f} s")
    small = best[f"{SMALL} MB: from find image to the tag"]
    print(f"A new model of {SMALL} MB: {small:.2f} s to the tag; the goal is {GOAL_SMALL:g} s.")
    for size in (SMALL, LARGE):
        rows = ("push model half", "compose image", "pull image")
        ours = sum(best[f"{size} MB: {row}"] for row in rows)
        whole = best[f"{size} MB: docker build"] + best[f"{size} MB: docker push"]
        goal = f"; the goal is {GOAL_RATIO:g}" if size == LARGE else ""
        print(f"{size} MB: {whole / ours:.1f} times as fast as docker build and push{goal}.")


def tell_bytes(team: Team) -> None:
    """What a new commit pushes, and what a node pulls that has the image before."""
    with a_run() as run:
        inputs, fetched = with_model(run, SMALL)
        before = run.registry.manifest(whole_change(run, inputs, fetched, Clock({}), "").digest)
    team.commit(nonce=str(random.random()))
    with a_run() as run:
        again = ci.seal_capsule(run, ci.resolve_commit(run, "HEAD"), inputs.model)
        half = halves.push_code_half(run, again, halves.build_code_half(run, again))
        model = halves.find_model_half(run, again)
        assert model
        after = run.registry.manifest(halves.compose_image(run, again, half, model).digest)
        code = run.registry.manifest(half.digest)
    pushed = sum(size for digest, size in {**code.blobs, **after.blobs}.items() if digest not in before.blobs)
    pushed += len(code.body) + len(after.body)
    pulled = len(after.body) + after_the_first_difference(before, after)
    print(f"A new commit pushes {pushed} bytes, and a node pulls {pulled}; the goal is {GOAL_BYTES}.")


def after_the_first_difference(before: ImageManifest, after: ImageManifest) -> int:
    """Bytes of configuration, and of the layers from the first that differs on: their chain is another."""
    held = [layer.digest for layer in before.parts.layers or ()]
    layers = after.parts.layers or []
    same = next((n for n, layer in enumerate(layers) if held[n : n + 1] != [layer.digest]), len(layers))
    config = after.parts.config
    assert config
    return config.size + sum(layer.size for layer in layers[same:])


if __name__ == "__main__":
    main()
