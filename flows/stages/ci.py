"""The stages from a commit and a model to an image that `latest` may name."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from flows.core.build import latest as pointers
from flows.core.build import test_results
from flows.core.build.capsule import Capsule, seal
from flows.core.build.commit import Commit
from flows.core.build.composition import CREATED, REVISION, model_labels
from flows.core.build.content import BuildContent, what_changed
from flows.core.build.image import Image, Reference, tag_of_run
from flows.core.build.latest import BASE_DIGEST, Keep, LatestPointer, Move
from flows.core.build.test_results import TestResults
from flows.core.build.trust import Trust
from flows.core.errors import ClaimedByAnother, SlipwayError
from flows.core.local_time import rfc3339
from flows.core.model.manifest import ModelManifest
from flows.core.model.manifest import parse as parse_manifest
from flows.core.model.model import Model
from flows.services.git.commit_status import BuildStatus
from flows.services.images import dockerfile as dockerfiles
from flows.services.images import smoke_test as smoke_tests
from flows.services.images import test_stage
from flows.services.images.container_engine import Build
from flows.services.images.dockerfile import dockerfile_for
from flows.services.images.sandbox import Sandbox
from flows.services.images.smoke_test import Expected, Limits, Trial
from flows.stages.context import RunContext

LISTED = 20
"""Number of commits that are listed; the rest is counted."""

WANTED, NEWEST = "wanted", "newest"

FOLDER, FILE = 0o755, 0o644
"""Access rights of what is packed into an image."""


@dataclass(frozen=True)
class Inputs:
    """Everything that enters the image of a CI run, and its capsule."""

    commit: Commit
    model: Model
    base_image: Reference
    capsule: Capsule

    def __str__(self) -> str:
        return str(self.content)

    @property
    def content(self) -> BuildContent:
        """What the image is made of, as it is recorded."""
        return BuildContent(
            self.commit.sha,
            self.model.named,
            self.commit.time,
            self.capsule.hash,
            base_digest=self.base_image.reference,
            code_half=self.capsule.code,
            model_half=self.capsule.model,
        )

    @property
    def tag(self) -> str:
        """The image's tag in the registry, if it is built now."""
        return self.capsule.tag_for(self.commit.trust)


@dataclass(frozen=True)
class Fetched:
    """The folder with a model and its manifest, and whether they were fetched now or before."""

    folder: Path
    how: str


def resolve_commit(run: RunContext, ref: str, branch: str = "") -> Commit:
    """Bring the mirror up to date and find the commit that `ref` names, on `branch` if it is there.

    A trigger names both; the commit may not have arrived in the repository yet.
    """
    run.repository.fetch(run.say)
    commit = run.repository.resolve(ref, run.settings.source.released_branch, announced=branch)
    where = commit.branch or "no branch"
    run.say(f"{ref} is {commit} by {commit.author}, {commit.time:%Y-%m-%d %H:%M}, on {where}.")
    return commit


def passed_over(run: RunContext, commit: Commit, since: str) -> list[str]:
    """The commits after `since` that are not built because this one is newer, newest first."""
    if not since:
        return []
    found = (run.repository.between(since, commit.sha) or [])[1:]
    if found:
        run.say(f"Passed over, because {commit.short} is newer: {listed(found)}.")
    return found


def listed(commits: Sequence[str]) -> str:
    """The first `LISTED` commits in one line, and how many more there are."""
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
    """The model of that version; for `wanted`, the pinned or else the newest one. Nothing is pinned."""
    name = run.settings.model.name
    progress = run.progress(f"fetch {name}")  # a plain file's digest is known once it was fetched
    if version == WANTED:
        model = run.models.wanted(name, progress)
    elif version == NEWEST:
        model = run.models.newest(name, progress)
    else:
        model = run.models.find(name, version, progress)
    stored = f", version {model.stored} in the store" if model.stored else ""
    run.say(f"Model {model}, {model.size / 1e6:.1f} MB, {model.digest[:19]}{stored}.")
    return model


def seal_capsule(run: RunContext, commit: Commit, model: Model) -> Inputs:
    """Hash everything that would enter the image."""
    app = run.settings.app
    base_image = run.base_image()
    files = run.repository.files(commit.sha, app.context)
    capsule = seal(
        files,
        model_digest=model.digest,
        manifest_digest=model.manifest_digest,
        base_image=str(base_image),
        dockerfile=app.dockerfile,
        platform=app.platform,
        model_path=app.model_path,
    )
    run.say(f"Capsule {capsule}: {len(files)} files, {model}, base {base_image}.")
    return Inputs(commit, model, base_image, capsule)


def find_image(run: RunContext, inputs: Inputs) -> Image | None:
    """The image of this capsule, if the registry has it: then nothing is built.

    For a commit of the released branch, an image that was built for another branch does not count.
    """
    for trust in inputs.commit.trust.readable:
        if image := run.registry.find(inputs.capsule.tag_for(trust)):
            run.say(f"The registry has the image: {image.short}, built of a {trust} commit.")
            return image
    run.say("The registry has no image of this capsule yet.")
    return None


def compare_with_latest(run: RunContext, inputs: Inputs) -> str:
    """What changed since the image that `latest` names."""
    pointer = run.registry.pointer()
    changed = what_changed(pointer.content if pointer else None, inputs.content)
    run.say(f"Compared with what latest names: {changed}.")
    return changed


def run_tests(run: RunContext, inputs: Inputs) -> TestResults:
    """Build the test stage, run it, keep its JUnit report, and require that every test passed."""
    app = run.settings.app
    tag = f"{run.registry.name}-tests:{tag_of_run(run.id)}"
    image = build_on_engine(
        run, inputs, Build(lay_out_context(run, inputs, "tests"), app.dockerfile, tag, "test")
    )
    sandbox, output = _sandbox(run, inputs.commit), run.reports / "tests.log"
    ran = test_stage.run(run.engine, image, app.test_timeout, run.say, sandbox=sandbox, output=output)
    if ran.report is not None:
        run.reports.mkdir(parents=True, exist_ok=True)
        (run.reports / "junit.xml").write_bytes(ran.report)
        run.say(f"The JUnit report is kept in {run.reports}.")
    results = test_results.parse(ran.report) if ran.report else None
    passed = test_results.require_success(results, ran.status, ran.log)
    run.engine.untag(tag)
    return passed


def _sandbox(run: RunContext, commit: Commit) -> Sandbox:
    """What the commit's tests may do: more than the default only on the released branch."""
    wanted = run.settings.app.tests
    if commit.trust is not Trust.RELEASED:
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
    context = lay_out_context(run, inputs, "image")
    dockerfiles.require_copy(context, run.settings.app.dockerfile)
    shutil.copytree(model, context / "model")
    set_rights(context / "model")
    manifest = read_manifest(model)
    set_times(context, inputs.commit.time)
    set_times(context / "model", datetime.fromisoformat(manifest.created))
    created = rfc3339(inputs.commit.time)
    arguments = {
        "CAPSULE": inputs.capsule.hash,
        "COMMIT": inputs.commit.sha,
        "CREATED": created,
    }
    labels = code_labels(inputs) | inputs.capsule.labels | model_labels(inputs.model)
    dockerfile = run.settings.app.dockerfile
    return build_on_engine(run, inputs, Build(context, dockerfile, own_tag(run), None, arguments, labels))


def code_labels(inputs: Inputs) -> dict[str, str]:
    """The labels that name the commit of an image, and what it was built on."""
    return {
        REVISION: inputs.commit.sha,
        "org.opencontainers.image.source": inputs.commit.repository,
        CREATED: rfc3339(inputs.commit.time),
        BASE_DIGEST: inputs.base_image.reference,
        "dev.slipway.trust": inputs.commit.trust,
    }


def smoke_test(run: RunContext, inputs: Inputs, image: str, model: Path) -> Trial:
    """Start the image, send it requests, and stop it, before it gets its tag."""
    app = run.settings.app
    expected = Expected(inputs.capsule, read_manifest(model))
    return smoke_tests.smoke_test(
        run.engine,
        image,
        expected,
        Limits(app.port, app.ready_timeout, app.stop_timeout, app.tests.memory, app.probed_at),
        run.say,
    )


def push_image(run: RunContext, inputs: Inputs, built: str, model: Path) -> Image:
    """Push the image that passed the smoke test under its capsule's tag, after the model's manifest, which
    releases need.

    `ClaimedByAnother` where another image was pushed, because another run set the tag meanwhile.
    """
    run.registry.attach(inputs.tag, (model / "manifest.json").read_bytes())
    return push_as(run, built, inputs.tag)


def push_as(run: RunContext, built: str, name: str) -> Image:
    """Push what this run built under that tag; `ClaimedByAnother` as of `push_image`."""
    tag = f"{run.registry.name}:{name}"
    run.engine.tag(built, tag)
    pushed = run.engine.push(tag, run.say)
    image = run.registry.image(pushed)
    if built not in {pushed, *run.registry.manifest(image.digest).names}:
        raise ClaimedByAnother(
            f"The image that was pushed, {image.short}, is not the one that was tried out: another run "
            "pushed another image of this capsule at the same time."
        )
    run.engine.untag(own_tag(run))
    run.say(f"Pushed {image}.")
    return image


def decide_latest(run: RunContext, inputs: Inputs, image: Image) -> Move | Keep:
    """Whether `latest` is to name the image, by what branch, store and pointer say now."""
    decision, _ = _decided(run, inputs, image)
    due = "Latest is due to move" if isinstance(decision, Move) else "Keep latest"
    run.say(f"{due}: {decision.reason}.")
    return decision


def move_latest(run: RunContext, inputs: Inputs, image: Image, forced: str = "") -> Move | Keep:
    """Decide again, with what was pushed and published meanwhile, and move `latest` if that is still due.

    `forced` says how a person overrode the verdict of the duel.
    """
    run.repository.fetch(run.say)
    decision, candidate = _decided(run, inputs, image)
    run.say(f"{'Move' if isinstance(decision, Move) else 'Keep'} latest: {decision.reason}.")
    if isinstance(decision, Move):
        run.registry.move(replace(candidate, forced=forced[: pointers.LONGEST]) if forced else candidate)
    return decision


def _decided(run: RunContext, inputs: Inputs, image: Image) -> tuple[Move | Keep, LatestPointer]:
    current = run.registry.pointer()
    facts = _branch_facts(run, inputs.commit, current)
    candidate = LatestPointer.to(
        image, inputs.commit, inputs.model, inputs.base_image.reference, inputs.capsule, run=run.id
    )
    if current is not None and facts.ahead:
        candidate = candidate.following(current)
    return pointers.decide(candidate, current, facts), candidate


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
        built_as_released=commit.trust is Trust.RELEASED,
    )


def build_on_engine(run: RunContext, inputs: Inputs, build: Build) -> str:
    """Build the image; its id on the engine. The build has no login for any registry."""
    app = run.settings.app
    run.engine.pull_base(str(inputs.base_image), app.platform, run.say)
    path = dockerfile_for(inputs.commit.trust, build.context, app.dockerfile)
    arguments = {"BASE_IMAGE": str(inputs.base_image), **build.arguments}
    complete = replace(build, dockerfile=path, arguments=arguments, platform=app.platform)
    return run.engine.build(complete, run.say)


def own_tag(run: RunContext) -> str:
    """The image's name on the engine until it is pushed; each run has its own."""
    return f"{run.registry.name}:{tag_of_run(run.id)}"


def lay_out_context(run: RunContext, inputs: Inputs, name: str) -> Path:
    """The folder of that name in the run's workspace, with the commit's files of the build context."""
    folder = run.workspace / name
    shutil.rmtree(folder, ignore_errors=True)  # an earlier try of the stage left it
    folder.mkdir()
    folder.chmod(FOLDER)
    files = run.repository.files(inputs.commit.sha, run.settings.app.context)
    run.repository.lay_out(files, folder, inputs.commit.time)
    return folder


def set_times(folder: Path, time: datetime) -> None:
    """Set all times, so that the same content gives the same layer."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.timestamp(), time.timestamp()), follow_symlinks=False)


def set_rights(folder: Path) -> None:
    """Let every user of a container read the files, whatever this process's umask is."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(FOLDER if path.is_dir() else FILE)


def read_manifest(model: Path) -> ModelManifest:
    """The manifest beside a fetched model."""
    return parse_manifest((model / "manifest.json").read_bytes(), source="manifest.json")
