"""Values of releases for tables to vary."""

from datetime import UTC, datetime, timedelta

from flows.config.load import CHECKOUT
from flows.core.build.content import BuildContent, ModelVersion
from flows.core.build.image import Image
from flows.core.model.manifest import parse
from flows.core.release.decision import Candidate, Observed
from flows.core.release.manifests_source import ManifestsSource
from flows.core.release.record import Record

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DIGITS = ModelVersion("digits", "1.0.0", "sha256:" + "1" * 64)
MONDAY = datetime(2026, 2, 23, 12, 0, tzinfo=UTC)
NEWEST = ManifestsSource("/team", "e" * 40, "deployments/kubernetes", "e" * 40)
MODEL = parse((CHECKOUT / "tests/app/models/digits/manifest.json").read_bytes(), source="digits")


def image(letter: str) -> Image:
    """An image whose digest consists of that letter."""
    return Image("registry/classifier", "sha256:" + letter * 64)


def candidate(letter: str = "b", days: int = 1, model_days: int = 0) -> Candidate:
    """An image of a commit so many days after Monday's."""
    return Candidate(
        image=image(letter),
        content=BuildContent(
            letter * 40, DIGITS, committed=MONDAY + timedelta(days=days), capsule=letter * 64
        ),
        model_created=MONDAY + timedelta(days=model_days),
        manifest=MODEL,
        source=NEWEST,
    )


def released(number: int = 1, letter: str = "a", days: int = 0, **changes: object) -> Record:
    """A good release, as it was recorded."""
    made = candidate(letter, days)
    values: dict[str, object] = {
        "number": number,
        "image": made.image,
        "content": made.content,
        "model_created": made.model_created,
        "manifests": "m",
        "source": NEWEST,
        "objects": (),
        "run": f"run-{number}",
        "asked_by": "Ada",
        "asked_for": "a test",
        "started": NOW - timedelta(hours=2),
        "verdict": "deployed",
        "good_since": NOW - timedelta(hours=1),
    }
    return Record(**{**values, **changes})  # type: ignore[arg-type]  # a table's columns have many types


def deployed(
    letter: str = "a", manifests: str = "m", *, settled: bool = True, whole: bool = True
) -> Observed:
    """What the Deployment of such a release says."""
    return Observed(
        image(letter), letter * 64, letter * 40, "", manifests, replicas=3, settled=settled, whole=whole
    )
