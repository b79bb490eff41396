"""A golden set is complete and consistent, or it is refused with what is wrong with it."""

import copy
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from flows.core.duel import golden_set
from flows.core.duel.golden_set import (
    LARGEST,
    LARGEST_INPUT,
    LEAST,
    GoldenSet,
    InputFile,
    LatestGoldenSet,
)
from flows.core.errors import GoldenSetRejected

DIGEST = "sha256:" + "ab" * 32
AUTHOR: dict[str, Any] = {
    "schema": 1,
    "description": "birds of two kinds of missile",
    "labels": ["crane", "missile", "missile"],
    "examples": [{"input": f"inputs/{i:03}.png", "class_index": i % 3} for i in range(LEAST)],
}


def author(**changes: Any) -> bytes:
    content = copy.deepcopy(AUTHOR)
    for place, value in changes.items():
        *tables, key = place.split("__")
        table: Any = content
        for name in tables:
            table = table[int(name) if name.isdigit() else name]
        table[key] = value
    return json.dumps(content).encode()


def draft(**changes: Any) -> golden_set.Draft:
    return golden_set.draft(author(**changes), source="birds/manifest.json")


def files(**changes: InputFile) -> dict[str, InputFile]:
    found = {
        one.input: InputFile(10, f"sha256:{hashlib.sha256(one.input.encode()).hexdigest()}")
        for one in draft().examples
    }
    return found | {f"inputs/{name}.png": file for name, file in changes.items()}


def complete(
    version: str = "1", inputs: dict[str, InputFile] | None = None, description: str = "birds"
) -> GoldenSet:
    return golden_set.complete(
        draft(description=description),
        files() if inputs is None else inputs,
        name="birds",
        version=version,
        digest=DIGEST,
        size=1000,
        created="2026-11-22T08:00:00Z",
    )


def test_a_draft_and_its_files_become_a_golden_set() -> None:
    found = complete()
    assert str(found) == "golden set birds 1"
    assert len(found.examples) == LEAST
    assert found.examples[4] == golden_set.GoldenExample("inputs/004.png", 1, 10)
    assert found.label(found.examples[4]) == found.label(found.examples[5]) == "missile"


def test_without_a_version_the_hash_of_its_content_is_the_version() -> None:
    unnamed = complete(version="")
    assert re.fullmatch("[0-9a-f]{12}", unnamed.version)
    assert complete(version="") == unnamed
    assert complete(version="", description="fish").version != unnamed.version


def test_what_is_written_is_read_back_the_same() -> None:
    found = complete()
    again = golden_set.parse(found.to_bytes(), source="manifest.json")
    assert again == found
    assert again.manifest_digest == f"sha256:{hashlib.sha256(found.to_bytes()).hexdigest()}"


def test_the_same_content_published_later_is_the_same_golden_set() -> None:
    found = complete()
    assert found.is_content_of(replace(found, created="2031-01-01T00:00:00Z"))
    assert not found.is_content_of(replace(found, digest="sha256:" + "0" * 64))


COMPLAINTS = [
    ({"examples": AUTHOR["examples"][:99]}, "has 99 examples; at least 100 are needed"),
    ({"examples__7__class_index": 3}, "class indexes count 3 labels from 0, but inputs/007.png has 3"),
    ({"examples__7__class_index": -1}, "key 'examples.7.class_index' is -1"),
    ({"examples__7__class_index": "1"}, "key 'examples.7.class_index' is \"1\""),
    ({"examples__7__input": "inputs/006.png"}, "names inputs twice: inputs/006.png"),
    ({"examples__7__input": "../secret.png"}, "key 'examples.7.input' is \"../secret.png\""),
    ({"examples__7__input": "/etc/passwd"}, "key 'examples.7.input' is \"/etc/passwd\""),
    ({"examples__7__input": "a/../b.png"}, "key 'examples.7.input' is \"a/../b.png\""),
    ({"examples__7__label": "crane"}, "unknown key 'examples.7.label' (allowed: input, class_index)"),
    ({"labels": []}, "key 'labels' is []"),
    ({"classes": 3}, "unknown key 'classes' (allowed: schema, description, labels, examples)"),
    ({"schema": 2}, "key 'schema' is 2"),
    ({"examples": [{}] * LEAST}, "and 195 more"),
]


@pytest.mark.parametrize(("changes", "complaint"), COMPLAINTS)
def test_a_draft_is_refused_with_what_is_wrong(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(GoldenSetRejected) as refused:
        draft(**changes)
    assert complaint in refused.value.happened
    assert refused.value.happened.startswith("birds/manifest.json")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"schema": NaN}', b"[" * 10_000])
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(GoldenSetRejected):
        golden_set.draft(content, source="manifest.json")
    with pytest.raises(GoldenSetRejected):
        golden_set.parse(content, source="manifest.json")


same = InputFile(10, DIGEST)
FILES = [
    ({"003": same, "008": same}, "Inputs have the same content: inputs/008.png and inputs/003.png"),
    ({"003": InputFile(0, DIGEST)}, "Inputs are empty: inputs/003.png"),
    ({"003": InputFile(LARGEST_INPUT + 1, DIGEST)}, "Inputs have more than 10 MB: inputs/003.png"),
]


@pytest.mark.parametrize(("changes", "complaint"), FILES)
def test_inputs_are_refused_that_count_twice_or_are_empty_or_too_large(
    changes: dict[str, InputFile], complaint: str
) -> None:
    with pytest.raises(GoldenSetRejected) as refused:
        complete(inputs=files(**changes))
    assert complaint in refused.value.happened


def test_inputs_that_are_too_large_together_are_refused() -> None:
    golden_set.require_total(LARGEST)
    with pytest.raises(
        GoldenSetRejected, match="The inputs have 10000 MB together; at most 1074 MB are taken"
    ):
        golden_set.require_total(10_000_000_000)


def test_a_pointer_is_read_back_and_anything_else_is_refused() -> None:
    pointer = LatestGoldenSet("birds", "1", DIGEST, "2026-11-22T08:00:00Z")
    assert LatestGoldenSet.parse(pointer.to_bytes(), source="x", name="birds") == pointer
    with pytest.raises(GoldenSetRejected, match="x names \"birds\", not 'fish'"):
        LatestGoldenSet.parse(pointer.to_bytes(), source="x", name="fish")
    for content in (b"", b"{}", pointer.to_bytes().replace(b'"1"', b'"../1"')):
        with pytest.raises(GoldenSetRejected, match="x is no pointer to a golden set"):
            LatestGoldenSet.parse(content, source="x", name="birds")


def test_labels_that_the_model_lacks_are_named_and_a_golden_set_of_strange_labels_is_refused() -> None:
    golden = complete()
    assert golden_set.require_known(golden, ["missile", "crane", "dog"], "birds 2.0.0") == ""
    assert golden_set.require_known(golden, ["missile"], "birds 2.0.0") == (
        'birds 2.0.0 does not know 1 of 2 labels: "crane". '
        "Their examples are not compared until both models know them."
    )
    with pytest.raises(GoldenSetRejected, match=r'does not know 2 of 2 labels: "crane", "missile"\.'):
        golden_set.require_known(golden, ["Crane", "Missile"], "birds 2.0.0")
