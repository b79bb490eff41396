"""The stages from two halves to an image: each half is pushed once, composed by digest, tried out, tagged."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flows.core.build.capsule import CODE_HALF
from flows.core.build.composition import BUILT, ModelHalf, compose
from flows.core.build.image import Image, digest_of
from flows.core.errors import DigestMismatch
from flows.core.local_time import rfc3339
from flows.services.images import dockerfile as dockerfiles
from flows.services.images import model_place
from flows.services.images.container_engine import Build
from flows.services.registry import halves
from flows.stages.ci import (
    Fetched,
    Inputs,
    build_on_engine,
    code_labels,
    lay_out_context,
    own_tag,
    push_as,
    set_rights,
    set_times,
)
from flows.stages.context import RunContext


@dataclass(frozen=True)
class PushedModel:
    """A model half in the registry, and the folder with the model's manifest."""

    half: ModelHalf
    folder: Path


def find_code_half(run: RunContext, inputs: Inputs) -> Image | None:
    """The code half, if the registry has all of it: its tests passed before it was pushed.

    For a commit of the released branch, a half that was built for another branch does not count.
    """
    for trust in inputs.commit.trust.readable:
        tag = inputs.capsule.code_tag(trust)
        if found := halves.find_code_half(run.registry, tag):
            run.say(f"The registry has the code half: {tag[:24]}, {found.short}. Its tests passed before.")
            return found
    run.say("The registry has no code half of this capsule yet.")
    return None


def find_model_half(run: RunContext, inputs: Inputs) -> PushedModel | None:
    """The model half, if the registry has all of it; `DigestMismatch` where it is another model's."""
    tag = inputs.capsule.model_tag
    found = halves.find_model_half(run.registry, tag)
    if found is None:
        run.say("The registry has no model half of this capsule yet.")
        return None
    half, manifest = found
    if (digest := digest_of(manifest)) != inputs.model.manifest_digest:
        raise DigestMismatch(
            f"The model half {tag[:24]} holds another manifest than that of {inputs.model}: {digest}.",
            "Find out who pushed it, delete its tag in the registry, and start the run again.",
        )
    run.say(f"The registry has the model half: {tag[:24]}, {half.size / 1e6:.1f} MB.")
    folder = run.workspace / "model-half"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_bytes(manifest)
    return PushedModel(half, folder)


def push_model_half(run: RunContext, inputs: Inputs, fetched: Fetched) -> PushedModel:
    """Stream the model into a layer of its own in the registry, in one pass."""
    half = halves.push_model_half(
        run.registry,
        inputs.capsule.model_tag,
        fetched.folder,
        run.settings.app.model_path,
        model=inputs.model,
        sent=run.progress(f"push {inputs.model}"),
    )
    run.say(f"Pushed the model half: {half.digest[:19]}, {half.size / 1e6:.1f} MB.")
    return PushedModel(half, fetched.folder)


def build_code_half(run: RunContext, inputs: Inputs) -> str:
    """Build the image without a model; its id on the engine.

    `BuildFailed` where the Dockerfile copies the model too, or has something at the model's place.
    """
    app = run.settings.app
    context = lay_out_context(run, inputs, "code")
    dockerfiles.require_no_copy(context, app.dockerfile, app.model_path)
    set_times(context, inputs.commit.time)
    labels = code_labels(inputs) | {CODE_HALF: inputs.capsule.code, BUILT: datetime.now(UTC).isoformat()}
    build = Build(context, app.dockerfile, own_tag(run), labels=labels)
    image = build_on_engine(run, inputs, build)
    model_place.require_free(run.engine, image, app.model_path)
    return image


def push_code_half(run: RunContext, inputs: Inputs, built: str) -> Image:
    """Push the code half, whose tests passed; errors as of `push_image`."""
    return push_as(run, built, inputs.capsule.code_tag(inputs.commit.trust))


def assemble_image(run: RunContext, inputs: Inputs, _code: str, model: Fetched) -> str:
    """The image of both halves on this engine alone, for a trial without a registry; its id.

    It answers as the composed one does, but its layers have another order: it is never pushed.
    """
    context = run.workspace / "assembled"
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(model.folder, context / "model")
    set_rights(context)
    created, path = rfc3339(inputs.commit.time), run.settings.app.model_path
    identity = {
        "SLIPWAY_CAPSULE": inputs.capsule.hash,
        "SLIPWAY_COMMIT": inputs.commit.sha,
        "SLIPWAY_BUILT": created,
    }
    variables = " ".join(f"{name}={value}" for name, value in identity.items())
    lines = (f"FROM {own_tag(run)}", f"COPY model {path}", f"ENV {variables}", "")
    (context / "Dockerfile").write_text("\n".join(lines))
    build = Build(context, "Dockerfile", own_tag(run), platform=run.settings.app.platform)
    return run.engine.build(build, run.say)


def compose_image(run: RunContext, inputs: Inputs, code: Image, model: PushedModel) -> Image:
    """Put the image of both halves into the registry, without a tag: it was not tried out yet.

    It is noted first, so that housekeeping finds it if it never gets a tag.
    """
    half = halves.read_code_half(run.registry, code)
    composition = compose(half, model.half, inputs.capsule, inputs.model)
    run.untagged.note(Image(run.registry.name, composition.digest), run.id)
    image = halves.put_composition(run.registry, composition)
    run.say(f"Composed {image.short} of the code half {code.short} and {inputs.model}; it has no tag yet.")
    return image


def pull_image(run: RunContext, image: Image) -> str:
    """Pull the composed image, as a node of the cluster will; its id on the engine."""
    pulled = run.engine.pull(str(image), run.settings.app.platform, run.say)
    run.engine.tag(pulled, own_tag(run))
    return pulled


def tag_image(run: RunContext, inputs: Inputs, image: Image, model: PushedModel) -> Image:
    """Give the image that passed the smoke test its capsule's tag, after the model's manifest, which releases
    need.

    Where another run gave the tag to another image meanwhile, that one stays: it passed, too. Ours has no tag
    then, and housekeeping deletes it.
    """
    tagged = run.registry.find(inputs.tag)
    if tagged is None:
        run.registry.attach(inputs.tag, (model.folder / "manifest.json").read_bytes())
        halves.tag_image(run.registry, image, inputs.tag)
        tagged = image
    if tagged == image:
        run.untagged.forget(image.digest)
        run.engine.tag(own_tag(run), f"{run.registry.name}:{inputs.tag}")
    run.engine.untag(own_tag(run))
    run.say(f"{inputs.tag[:19]} names {tagged}.")
    return tagged
