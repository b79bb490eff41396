"""The stages from a commit and a model to an image that `latest` names."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flows.core.build import latest as pointers
from flows.core.build import test_results
from flows.core.build.capsule import Capsule, seal
from flows.core.build.commit import Commit
from flows.core.build.content import BuildContent, what_changed
from flows.core.build.image import Image, parse
from flows.core.build.latest import Keep, LatestPointer, Move
from flows.core.build.test_results import TestResults
from flows.core.errors import SlipwayError
from flows.core.local_time import rfc3339
from flows.core.model.manifest import ModelManifest
from flows.core.model.manifest import parse as parse_manifest
from flows.core.model.model import Model
from flows.services.git.commit_status import BuildStatus
from flows.services.images import smoke_test as smoke_tests
from flows.services.images import test_stage
from flows.services.images.container_engine import Build
from flows.services.images.sandbox import Sandbox
from flows.services.images.smoke_test import Expected, Limits, Trial
from flows.services.registry import client
from flows.stages.context import RunContext

LISTED = 20
"""Commits that are listed; of more, these and how many they are."""

WANTED, NEWEST = "wanted", "newest"


@dataclass(frozen=True)
class Inputs:
    """What a CI run is about: everything that enters the image, and the capsule that names it."""

    commit: Commit
    model: Model
    base_image: str
    capsule: Capsule

    def __str__(self) -> str:
        return str(self.content)

    @property
    def content(self) -> BuildContent:
        """What the image is made of, as it is recorded."""
        return BuildContent(self.commit.sha, self.model.named, self.commit.time, self.capsule.hash)


@dataclass(frozen=True)
class Fetched:
    """The folder with a model and its manifest, and how they got there."""

    folder: Path
    how: str


def resolve_commit(run: RunContext, ref: str, branch: str = "") -> Commit:
    """Bring the mirror up to date and find the commit that `ref` names, on `branch` if it is there.

    A trigger names both; what it names may be on its way to the repository yet.
    """
    run.repository.fetch(run.say)
    on = branch or run.settings.source.released_branch
    commit = run.repository.resolve(ref, on, announced=bool(branch))
    where = commit.branch or "no branch"
    run.say(f"{ref} is {commit} by {commit.author}, {commit.time:%Y-%m-%d %H:%M}, on {where}.")
    return commit


def passed_over(run: RunContext, commit: Commit, since: str) -> list[str]:
    """The commits after `since` that this one is built in place of, newest first."""
    if not since:
        return []
    found = [line for line in run.repository.between(since, commit.sha)[1:] if line]
    if found:
        run.say(f"Passed over, for {commit.short} is newer: {listed(found)}.")
    return found


def listed(commits: Sequence[str]) -> str:
    """In one line: the first of them, and how many more there are."""
    more = [f"and {len(commits) - LISTED} more"] if len(commits) > LISTED else []
    return "; ".join([*commits[:LISTED], *more])


def tell_status(run: RunContext, commit: Commit, state: BuildStatus, description: str, link: str) -> None:
    """Send the commit status to the commit's host. A failure is logged and does not fail the run."""
    try:
        if run.commit_status is not None:
            run.commit_status.tell(commit.sha, state, description, link)
    except SlipwayError as error:
        run.say(f"The commit status was not sent: {error}")


def pin_model(run: RunContext, model: Model, asked_for: str) -> None:
    """Pin the requested version; `newest` deletes the pin, `wanted` keeps it."""
    if asked_for == NEWEST:
        run.models.unpin(model.name)
    elif asked_for != WANTED:
        run.models.pin(model.name, model.version, run.id)
    if (pin := run.models.pinned(model.name)) is not None:
        run.say(f"Version {pin.version} is pinned since {pin.since}, until a run of ci with model={NEWEST}.")


def resolve_model(run: RunContext, version: str) -> Model:
    """The model of that version; for `wanted` the pinned or else the newest one. Pins nothing."""
    name = run.settings.model.name
    progress = run.progress(f"fetch {name}")  # a plain file's digest is known once it was fetched
    if version == WANTED:
        model = run.models.wanted(name, progress)
    elif version == NEWEST:
        model = run.models.newest(name, progress)
    else:
        model = run.models.find(name, version, progress)
    run.say(f"Model {model}, {model.size / 1e6:.1f} MB, {model.digest[:19]}.")
    return model


def seal_capsule(run: RunContext, commit: Commit, model: Model) -> Inputs:
    """Hash what would enter the image."""
    app = run.settings.app
    base_image = client.resolve_base(parse(app.base_image), run.registry)
    files = run.repository.files(commit.sha, app.context)
    capsule = seal(
        files,
        model_digest=model.digest,
        manifest_digest=model.manifest_digest,
        base_image=base_image,
        dockerfile=app.dockerfile,
    )
    run.say(f"Capsule {capsule}: {len(files)} files, {model}, base {base_image}.")
    return Inputs(commit, model, base_image, capsule)


def find_image(run: RunContext, inputs: Inputs) -> Image | None:
    """The image of this capsule if the registry has it: then nothing is built."""
    image = run.registry.find(inputs.capsule.tag)
    run.say(
        f"The registry has it: {image.short}." if image else "The registry has no image of this capsule yet."
    )
    return image


def compare_with_latest(run: RunContext, inputs: Inputs) -> str:
    """What changed since the image that `latest` names."""
    pointer = run.registry.pointer()
    changed = what_changed(pointer.content if pointer else None, inputs.content)
    run.say(f"To what latest names, this is: {changed}.")
    return changed


def run_tests(run: RunContext, inputs: Inputs) -> TestResults:
    """Build the test stage, run it, keep its JUnit report, and require that every test passed."""
    context = _context(run, inputs, "tests")
    app = run.settings.app
    tag = f"{run.registry.name}-tests:{inputs.capsule.short}"
    build = Build(context, app.dockerfile, tag, "test", {"BASE_IMAGE": inputs.base_image})
    image = run.engine.build(build, run.say)
    sandbox, output = _sandbox(run, inputs.commit), run.reports / "tests.log"
    ran = test_stage.run(run.engine, image, app.test_timeout, run.say, sandbox=sandbox, output=output)
    if ran.report is not None:
        run.reports.mkdir(parents=True, exist_ok=True)
        (run.reports / "junit.xml").write_text(ran.report)
        run.say(f"The JUnit report is kept in {run.reports}.")
    results = test_results.parse(ran.report) if ran.report else None
    return test_results.require_success(results, ran.status, ran.log)


def _sandbox(run: RunContext, commit: Commit) -> Sandbox:
    """What the commit's tests may do: more than the default only on the released branch."""
    wanted = run.settings.app.tests
    if commit.branch != run.settings.source.released_branch:
        return Sandbox(memory=wanted.memory)
    if wanted.network or wanted.writable:
        more = [*(["the network"] if wanted.network else []), *wanted.writable]
        run.say(f"The tests may use {', '.join(more)}, as [app.tests] says.")
    return Sandbox(wanted.writable, wanted.network, wanted.memory)


def fetch_model(run: RunContext, inputs: Inputs) -> Fetched:
    """Model and manifest, from the store or from this machine's cache, checked against their digests."""
    if (cached := run.models.cached(inputs.model)) is not None:
        run.say(f"{inputs.model} was fetched before, and is on this machine.")
        return Fetched(cached, "fetched before, on this machine")
    return Fetched(run.models.fetch(inputs.model, run.progress(f"fetch {inputs.model}")), "fetched now")


def build_image(run: RunContext, inputs: Inputs, model: Path) -> str:
    """Pack code and model into one image; its id on the engine."""
    context = _context(run, inputs, "image")
    shutil.copytree(model, context / "model")
    manifest = read_manifest(model)
    _set_times(context, inputs.commit.time)
    _set_times(context / "model", datetime.fromisoformat(manifest.created))
    created = rfc3339(inputs.commit.time)
    arguments = {
        "BASE_IMAGE": inputs.base_image,
        "CAPSULE": inputs.capsule.hash,
        "COMMIT": inputs.commit.sha,
        "CREATED": created,
    }
    labels = {
        "org.opencontainers.image.revision": inputs.commit.sha,
        "org.opencontainers.image.version": inputs.capsule.hash,
        "org.opencontainers.image.source": inputs.commit.repository,
        "org.opencontainers.image.created": created,
        "dev.slipway.model": inputs.model.name,
        "dev.slipway.model.version": inputs.model.version,
        "dev.slipway.model.digest": inputs.model.digest,
    }
    build = Build(context, run.settings.app.dockerfile, _tag(run, inputs), None, arguments, labels)
    return run.engine.build(build, run.say)


def smoke_test(run: RunContext, inputs: Inputs, image: str, model: Path) -> Trial:
    """Start the image, ask it, and stop it, before anybody else gets it."""
    app = run.settings.app
    expected = Expected(inputs.capsule, read_manifest(model))
    return smoke_tests.smoke_test(
        run.engine,
        image,
        expected,
        Limits(app.port, app.ready_timeout, app.stop_timeout, app.tests.memory),
        run.say,
    )


def push_image(run: RunContext, inputs: Inputs, built: str, model: Path) -> Image:
    """Push what was tried out under its capsule's tag, after the model's manifest, which releases need."""
    run.registry.attach(inputs.capsule.tag, (model / "manifest.json").read_bytes())
    run.engine.tag(built, _tag(run, inputs))  # another run of this capsule may have tagged its own
    run.engine.push(_tag(run, inputs), run.say)
    image = run.registry.image(inputs.capsule.tag)
    run.say(f"Pushed {image}.")
    return image


def decide_latest(run: RunContext, inputs: Inputs, image: Image) -> Move | Keep:
    """Whether `latest` is to name the image, as branch, store and pointer are now."""
    return _decided(run, inputs, image)[0]


def move_latest(run: RunContext, inputs: Inputs, image: Image) -> Move | Keep:
    """Decide again, with what was pushed and published meanwhile, and move `latest` where it still is due."""
    run.repository.fetch(run.say)
    decision, candidate = _decided(run, inputs, image)
    if isinstance(decision, Move):
        run.registry.move(candidate)
    return decision


def _decided(run: RunContext, inputs: Inputs, image: Image) -> tuple[Move | Keep, LatestPointer]:
    current = run.registry.pointer()
    facts = _branch_facts(run, inputs.commit, current)
    candidate = LatestPointer.to(image, inputs.commit, inputs.model, inputs.capsule, run.id)
    if current is not None and facts.ahead:
        candidate = candidate.following(current)
    decision = pointers.decide(candidate, current, facts)
    run.say(f"{'Move' if isinstance(decision, Move) else 'Keep'} latest: {decision.reason}.")
    return decision, candidate


def _branch_facts(run: RunContext, commit: Commit, current: LatestPointer | None) -> pointers.BranchFacts:
    branch = run.settings.source.released_branch
    source = run.repository
    latest = current.content.commit if current else ""
    wanted = run.models.wanted(run.settings.model.name)
    return pointers.BranchFacts(
        released_branch=branch,
        on_branch=source.is_ancestor(commit.sha, f"refs/heads/{branch}"),
        behind=commit.sha != latest and source.is_ancestor(commit.sha, latest),
        ahead=commit.sha == latest or source.is_ancestor(latest, commit.sha),
        current_on_branch=source.is_ancestor(latest, f"refs/heads/{branch}"),
        wanted_model=(wanted.version, wanted.digest),
    )


def _tag(run: RunContext, inputs: Inputs) -> str:
    return f"{run.registry.name}:{inputs.capsule.tag}"


def _context(run: RunContext, inputs: Inputs, name: str) -> Path:
    folder = run.workspace / name
    shutil.rmtree(folder, ignore_errors=True)  # of a try before this one
    folder.mkdir()
    files = run.repository.files(inputs.commit.sha, run.settings.app.context)
    run.repository.lay_out(files, folder, inputs.commit.time)
    return folder


def _set_times(folder: Path, time: datetime) -> None:
    """The same content gives the same layer: a model's files carry the model's time, not a commit's."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.timestamp(), time.timestamp()), follow_symlinks=False)


def read_manifest(model: Path) -> ModelManifest:
    """The manifest beside a fetched model."""
    return parse_manifest((model / "manifest.json").read_bytes(), source="manifest.json")
