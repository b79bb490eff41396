"""What the page of a run says."""

from dataclasses import replace

from flows.core.build.report import CiReport
from flows.core.model.model import Model
from flows.runtime.artifacts import rows_of

MODEL = Model("classifier", "1.0.0", "sha256:" + "1" * 64, "sha256:" + "2" * 64, 1)


def test_the_version_of_the_model_in_the_store_is_named_where_there_is_one() -> None:
    stored = replace(MODEL, stored="2026-11-30T06:00:00.0000000Z")
    named = "its version in the store"
    assert rows_of(CiReport("HEAD", model=stored))[named] == "2026-11-30T06:00:00.0000000Z"
    assert named not in rows_of(CiReport("HEAD", model=MODEL))
    assert named not in rows_of(CiReport("HEAD"))
