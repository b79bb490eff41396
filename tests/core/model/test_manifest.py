"""A manifest is complete and consistent, or it is refused with everything that is wrong with it."""

import copy
import hashlib
import json
from typing import Any

import pytest

from flows.core.errors import ModelRejected
from flows.core.model import manifest
from flows.core.model.manifest import Example, Preprocessing
from flows.core.model.model import Latest, Model, Pin

DIGEST = "sha256:" + "a" * 64
COMPLETE: dict[str, Any] = {
    "schema": 1,
    "name": "classifier",
    "version": "1.0.0",
    "digest": DIGEST,
    "size": 18,
    "created": "2026-11-22T08:00:00Z",
    "description": "Kätzchen",
    "input": "input",
    "output": "logits",
    "activation": "softmax",
    "labels": ["cat", "dog", "cup"],
    "preprocessing": {
        "mode": "RGB",
        "shorter_side": 256,
        "crop": 224,
        "resample": "bicubic",
        "mean": [127.0],
        "std": [128.0],
        "layout": "NCHW",
    },
    "examples": [
        {"name": "tom", "input": "aGk=", "expected": [["cat", 91.5], ["dog", 8.0]], "tolerance": 2.0}
    ],
}
COMPLAINTS = [
    ("schema", 2, "key 'schema' is 2: Input should be 1"),
    ("size", "18", "key 'size' is \"18\": Input should be a valid integer"),
    ("version", "../1", "key 'version' is \"../1\": String should match pattern"),
    ("version", "latest.json", "version 'latest.json' is the pointer's name"),
    ("labels", [], "key 'labels' is []: Tuple should have at least 1 item"),
    ("activation", "sofmax", "key 'activation' is \"sofmax\": Input should be 'softmax' or 'none'"),
    ("lables", [], "unknown key 'lables' (allowed: schema, name, version,"),
    ("preprocessing.size", 1, "unknown key 'preprocessing.size' (allowed: mode, shorter_side, crop,"),
    ("examples.0.answer", "", "unknown key 'examples.0.answer' (allowed: name, input, expected, tolerance)"),
    ("preprocessing.mode", "CMYK", "key 'preprocessing.mode' is \"CMYK\": Input should be 'RGB' or 'L'"),
    ("preprocessing.std", [0.0], "key 'preprocessing.std.0' is 0.0: Input should be greater than 0"),
    (
        "preprocessing.mean",
        [float("nan")],
        "key 'preprocessing.mean.0' is NaN: Input should be a finite number",
    ),
    ("preprocessing.mean", [1.0, 2.0], "mean has 2 values; mode 'RGB' takes 1 or 3"),
    ("preprocessing.shorter_side", 100, "shorter_side 100 is less than crop 224"),
    ("examples.0.input", "%%", "key 'examples.0.input' is \"%%\": must be base64"),
    ("examples.0.tolerance", 0, "key 'examples.0.tolerance' is 0: Input should be greater than 0"),
    ("examples.0.expected", [["cow", 90.0]], "example 'tom' expects 'cow', which is not among the labels"),
]


def changed(**changes: Any) -> bytes:
    """The complete manifest with values at dotted paths."""
    found = copy.deepcopy(COMPLETE)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = found
        for key in parents:
            place = place[int(key) if isinstance(place, list) else key]
        place[last] = value
    return json.dumps(found).encode()


def test_what_is_written_reads_back_the_same_and_has_stable_bytes() -> None:
    parsed = manifest.parse(changed(), source="it")
    shuffled = json.dumps(dict(reversed(COMPLETE.items()))).encode()

    assert json.loads(parsed.to_bytes()) == COMPLETE
    assert manifest.parse(shuffled, source="it").to_bytes() == parsed.to_bytes()
    digest = f"sha256:{hashlib.sha256(parsed.to_bytes()).hexdigest()}"
    assert parsed.model == Model("classifier", "1.0.0", DIGEST, digest, 18)


@pytest.mark.parametrize(
    ("path", "value", "message"), COMPLAINTS, ids=[message for _, _, message in COMPLAINTS]
)
def test_a_wrong_value_is_refused_with_what_is_allowed(path: str, value: Any, message: str) -> None:
    with pytest.raises(ModelRejected) as refused:
        manifest.parse(changed(**{path: value}), source="manifest.json")
    assert str(refused.value).startswith(f"manifest.json: {message}")


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    with pytest.raises(ModelRejected) as refused:
        manifest.parse(b'{"schema": 1, "labels": [], "size": -1, "colour": "red"}', source="manifest.json")
    message = str(refused.value)
    for key in ("name", "version", "digest", "created", "input", "output", "preprocessing", "examples"):
        assert f"key '{key}' is missing" in message
    assert "key 'labels' is []" in message
    assert "key 'size' is -1" in message
    assert "unknown key 'colour'" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "manifest.json is not valid JSON"), (b"[]", "manifest.json must hold a JSON object")],
)
def test_what_is_no_json_object_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ModelRejected, match=message):
        manifest.parse(content, source="manifest.json")


def test_an_authors_manifest_is_completed_and_what_it_says_of_the_file_is_replaced() -> None:
    facts: dict[str, Any] = {
        "name": "other",
        "version": "2.0.0",
        "digest": "sha256:" + "b" * 64,
        "size": 7,
        "created": "2027-01-01T00:00:00Z",
    }
    author = {key: value for key, value in COMPLETE.items() if key not in manifest.FILLED_IN}

    completed = manifest.complete(json.dumps(author).encode(), source="it", **facts)

    assert json.loads(completed.to_bytes()) == COMPLETE | facts
    assert manifest.complete(changed(), source="it", **facts) == completed


@pytest.mark.parametrize(
    ("mode", "layout", "shape"),
    [
        ("RGB", "NCHW", (3, 8, 8)),
        ("L", "NCHW", (1, 8, 8)),
        ("RGB", "NHWC", (8, 8, 3)),
        ("L", "flat", (64,)),
        ("RGB", "flat", (192,)),
    ],
)
def test_preprocessing_knows_the_shape_it_makes(mode: Any, layout: Any, shape: tuple[int, ...]) -> None:
    steps = Preprocessing(mode, None, 8, "bicubic", (0.0,), (1.0,), layout)
    assert steps.input_shape() == shape


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([("cat", 60.0), ("dog", 30.0), ("cup", 5.0)], None),
        ([("cat", 62.0), ("dog", 28.0), ("cup", 5.0)], None),
        ([("dog", 61.0), ("cat", 59.0), ("cup", 5.0)], "tom: 'dog' is 61.0 %, expected 30.0 % +/- 3"),
        ([("cat", 56.9), ("dog", 30.0), ("cup", 5.0)], "tom: 'cat' is 56.9 %, expected 60.0 % +/- 3"),
        ([("cat", 60.0), ("dog", 30.0), ("cow", 6.0)], None),
        (
            [("cow", 90.0), ("cup", 5.0), ("elk", 1.0)],
            "tom: 'cat' is not among the best, expected 60.0 % +/- 3",
        ),
        ([], "tom: 'cat' is not among the best, expected 60.0 % +/- 3; answered nothing"),
    ],
)
def test_an_answer_is_right_within_the_tolerance(
    answer: list[tuple[str, float]], message: str | None
) -> None:
    example = Example("tom", "aGk=", (("cat", 60.0), ("dog", 30.0), ("cup", 5.0)), 3.0)
    found = example.disagreement(answer)
    assert (found is None) if message is None else (found or "").startswith(message)


def test_two_labels_that_are_close_may_change_places() -> None:
    example = Example("tom", "aGk=", (("cat", 60.0), ("dog", 15.0), ("cup", 14.0)), 2.0)
    assert example.disagreement([("cat", 60.0), ("dog", 14.4), ("cow", 12.5)]) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 2])
def test_an_answer_that_is_no_finite_number_is_wrong(number: float, place: int) -> None:
    example = Example("tom", "aGk=", (("cat", 60.0), ("dog", 30.0), ("cup", 5.0)), 3.0)
    answer = [*example.expected]
    answer[place] = (answer[place][0], number)
    assert "is no finite number" in (example.disagreement(answer) or "")


TWICE = Example("ship", "aGk=", (("maillot", 61.0), ("maillot", 34.0), ("crane", 2.0)), 3.0)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ([*TWICE.expected], True),
        ([("maillot", 60.0), ("maillot", 35.0), ("elk", 2.0)], True),
        ([("maillot", 95.0), ("crane", 2.0), ("elk", 1.0)], False),
        ([("maillot", 61.0), ("maillot", 20.0), ("crane", 16.0)], False),
        ([("maillot", 61.0), ("crane", 34.0), ("maillot", 2.0)], False),
    ],
)
def test_labels_that_occur_twice_are_compared_by_their_place(
    answer: list[tuple[str, float]], right: bool
) -> None:
    assert (TWICE.disagreement(answer) is None) == right


def test_a_manifest_that_nests_without_end_is_refused() -> None:
    with pytest.raises(ModelRejected, match="is not valid JSON"):
        manifest.parse(b"[" * 100_000, source="manifest.json")


@pytest.mark.parametrize(
    "answer",
    [[("nonsense", 100.0)], [("nonsense", 60.0), ("cat", 30.0), ("dog", 10.0)], []],
    ids=["alone", "first", "nothing at all"],
)
def test_an_answer_that_leaves_the_expected_labels_out_is_wrong(answer: list[tuple[str, float]]) -> None:
    example = Example("tom", "aGk=", (("cat", 60.0), ("dog", 15.0), ("cup", 14.0)), 2.0)
    assert example.disagreement(answer) is not None


def test_the_pointer_reads_back_what_it_wrote_and_refuses_all_else() -> None:
    latest = Latest(Model("classifier", "1.0.0", DIGEST, DIGEST, 18), "2026-11-22T08:00:00Z")
    assert Latest.parse(latest.to_bytes(), source="latest.json", name="classifier") == latest
    for content in (b"", b"[]", b'{"name": "classifier"}'):
        with pytest.raises(ModelRejected, match=r"latest\.json is no pointer to a model"):
            Latest.parse(content, source="latest.json", name="classifier")


HARMFUL = {
    "a path for a digest": {"digest": "/usr/lib/x86_64", "manifest_digest": "linux-gnu/../../../root"},
    "a short digest": {"digest": "sha256:12"},
    "a path for a version": {"version": "../other"},
    "the pointer's own name": {"version": "latest.json"},
    "another model's name": {"name": "../classifier"},
    "a size that is none": {"size": -1},
    "a size as text": {"size": "18"},
    "a moment that is none": {"published": "zzzz"},
    "null": {"manifest_digest": None},
}


@pytest.mark.parametrize("changes", HARMFUL.values(), ids=HARMFUL.keys())
def test_a_pointer_that_another_tool_wrote_is_refused_with_the_key(changes: dict[str, object]) -> None:
    latest = Latest(Model("classifier", "1.0.0", DIGEST, DIGEST, 18), "2026-11-22T08:00:00Z")
    content = json.dumps(json.loads(latest.to_bytes()) | changes).encode()
    with pytest.raises(ModelRejected, match=f"key '{next(iter(changes))}' "):
        Latest.parse(content, source="latest.json", name="classifier")


def test_a_pointer_of_a_later_version_may_say_more() -> None:
    latest = Latest(Model("classifier", "1.0.0", DIGEST, DIGEST, 18), "2026-11-22T08:00:00Z")
    content = json.dumps(json.loads(latest.to_bytes()) | {"signature": "…"}).encode()
    assert Latest.parse(content, source="latest.json", name="classifier") == latest


@pytest.mark.parametrize("version", ["../1.0.0", "latest.json", "", 1, None])
def test_a_pin_to_what_is_no_version_is_refused(version: object) -> None:
    pin = Pin("1.0.0", "2026-11-22T08:00:00Z", "a-run")
    assert Pin.parse(pin.to_bytes(), source="pin.json") == pin
    content = json.dumps(json.loads(pin.to_bytes()) | {"version": version}).encode()
    with pytest.raises(ModelRejected, match=r"pin\.json is no pin: key 'version' is "):
        Pin.parse(content, source="pin.json")
