"""What a report says changed: a table of code, model and base image."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flows.core.build.content import BuildContent, Content, ModelVersion, what_changed

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MODEL = ModelVersion("classifier", "1.0.0", "sha256:1")
BEFORE = Content("4f2c9e1" + "0" * 33, MODEL)
NEW_CODE = replace(BEFORE, commit="8a1b2c3" + "0" * 33)
OLD_BASE, NEW_BASE = (replace(BEFORE, base_digest="sha256:" + digit * 64) for digit in "12")
NEW_MODEL = replace(BEFORE, model=replace(MODEL, version="1.1.0", digest="sha256:2"))


def made(commit: str, code_half: str) -> BuildContent:
    return BuildContent(commit + "0" * 33, MODEL, NOON, "c" * 64, code_half=code_half, model_half="f" * 64)


CASES: dict[str, tuple[Content | None, Content, str]] = {
    "nothing was there": (None, BEFORE, "the first: there was none before"),
    "neither": (BEFORE, BEFORE, "same code, same model"),
    "the code": (BEFORE, NEW_CODE, "new code 4f2c9e1 → 8a1b2c3, same model"),
    "the model": (BEFORE, NEW_MODEL, "same code, model 1.0.0 → 1.1.0"),
    "both": (
        BEFORE,
        replace(NEW_MODEL, commit=NEW_CODE.commit),
        "new code 4f2c9e1 → 8a1b2c3, model 1.0.0 → 1.1.0",
    ),
    "a model of another name": (
        BEFORE,
        replace(BEFORE, model=replace(MODEL, name="segmenter")),
        "same code, model classifier 1.0.0 → segmenter 1.0.0",
    ),
    "a file that was overwritten": (
        BEFORE,
        replace(BEFORE, model=replace(MODEL, digest="sha256:3")),
        "same code, model 1.0.0 with other content",
    ),
    "the same weights under a newer version": (
        BEFORE,
        replace(BEFORE, model=replace(MODEL, version="1.0.1")),
        "same code, model 1.0.0 → 1.0.1",
    ),
    "the base image": (
        OLD_BASE,
        NEW_BASE,
        "same code, same model, base image sha256:111111111111 → sha256:222222222222",
    ),
    "a commit that changes nothing of the image": (
        made("4f2c9e1", "d" * 64),
        made("8a1b2c3", "d" * 64),
        "same code, of commit 8a1b2c3 now, same model",
    ),
    "another code half": (
        made("4f2c9e1", "d" * 64),
        made("8a1b2c3", "e" * 64),
        "new code 4f2c9e1 → 8a1b2c3, same model",
    ),
    "a code half that is not known": (
        made("4f2c9e1", ""),
        made("8a1b2c3", ""),
        "new code 4f2c9e1 → 8a1b2c3, same model",
    ),
    "a base image that is known now": (BEFORE, NEW_BASE, "same code, same model"),
    "a base image that is not known": (OLD_BASE, BEFORE, "same code, same model"),
}


@pytest.mark.parametrize(("before", "after", "change"), CASES.values(), ids=CASES.keys())
def test_what_changed_names_code_model_and_base_image(
    before: Content | None, after: Content, change: str
) -> None:
    assert what_changed(before, after) == change


def test_halves_are_named_by_twelve_digits_where_they_are_known() -> None:
    assert made("4f2c9e1", "d" * 64).halves == f"code {'d' * 12}, model {'f' * 12}"
    assert made("4f2c9e1", "").halves == ""
