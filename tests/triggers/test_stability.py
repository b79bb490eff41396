"""Whether a plain model file may be written still."""

from flows.core.model.model import ModelVersionSeen
from flows.triggers.stability import StabilityCheck

APART = 60


def seen(size: int, *, settled: bool = False) -> ModelVersionSeen:
    return ModelVersionSeen("digits", "1", f"digits/1.onnx@noon,{size}", settled)


def test_a_published_model_is_whole_at_the_first_look() -> None:
    assert StabilityCheck().is_stable(seen(1, settled=True), 0, APART)


def test_a_file_is_whole_once_it_has_looked_the_same_for_long_enough() -> None:
    steady = StabilityCheck()
    looks = [
        (seen(1), 0),
        (seen(1), APART - 1),
        (seen(2), APART),
        (seen(2), 2 * APART - 1),
        (seen(2), 2 * APART),
    ]
    assert [steady.is_stable(file, now, APART) for file, now in looks] == [False, False, False, False, True]
