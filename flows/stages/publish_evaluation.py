"""The stages from an author's folder of labelled examples to a golden set in the store."""

from dataclasses import dataclass
from pathlib import Path

from flows.core.duel.golden_set import INPUTS, GoldenSet, require_known
from flows.services.models import golden_set_files
from flows.services.models.golden_set_store import PublishedGoldenSet
from flows.stages.context import RunContext


@dataclass(frozen=True)
class Packed:
    """A golden set, and the archive of its inputs."""

    golden: GoldenSet
    archive: Path


def pack_golden_set(run: RunContext, folder: Path, name: str, version: str) -> Packed:
    """Read the author's folder, check it, and pack its inputs into one archive."""
    archive = run.workspace / INPUTS
    golden = golden_set_files.pack(folder, archive, name=name, version=version)
    run.say(
        f"{golden}: {golden.description}, {len(golden.examples)} examples of {len(golden.labels)} labels, "
        f"{golden.size / 1e6:.1f} MB."
    )
    return Packed(golden, archive)


def check_labels(run: RunContext, packed: Packed) -> str:
    """Require that the newest model knows labels of the golden set; which ones it lacks, "" for none."""
    golden = packed.golden
    described = run.models.manifest(golden.name)
    if described is None:
        run.say(f"The labels were not compared: {golden.name} has no published model with a manifest.")
        return ""
    lacking = require_known(golden, described.labels, str(described.model))
    if lacking:
        run.say(lacking)
    return lacking


def upload_golden_set(run: RunContext, packed: Packed) -> PublishedGoldenSet:
    """Upload inputs and manifest; the pointer to the newest moves last."""
    golden = packed.golden
    published = run.golden_sets.publish(packed.archive, golden, progress=run.progress(f"upload {golden}"))
    run.say(f"{published}.")
    return published
