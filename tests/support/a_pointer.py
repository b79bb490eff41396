"""What `latest` may name."""

from datetime import UTC, datetime

from flows.core.build.content import BuildContent, ModelVersion
from flows.core.build.latest import LatestPointer

POINTER = LatestPointer(
    digest="sha256:" + "a" * 64,
    content=BuildContent(
        "a" * 40,
        ModelVersion("classifier", "1.0.0", "sha256:" + "1" * 64),
        datetime(2026, 1, 1, tzinfo=UTC),
        "c" * 64,
    ),
    subject="a change",
    branch="main",
    run="run-1",
)
