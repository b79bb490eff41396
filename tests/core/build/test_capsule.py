from typing import Any

import pytest

from flows.core.build.capsule import Capsule, ContextFile, seal

FILES = (ContextFile("app/serve.py", "100644", "a" * 40), ContextFile("Dockerfile", "100644", "b" * 40))
INPUTS: dict[str, Any] = {
    "model_digest": "sha256:1",
    "manifest_digest": "sha256:2",
    "base_image": "python@sha256:3",
    "dockerfile": "Dockerfile",
}


def test_the_same_inputs_in_any_order_are_the_same_capsule() -> None:
    assert seal(FILES, **INPUTS) == seal(reversed(FILES), **INPUTS)


def test_a_capsule_is_a_valid_tag() -> None:
    assert len(seal(FILES, **INPUTS).tag) == 64


@pytest.mark.parametrize("key", sorted(INPUTS))
def test_every_input_makes_another_capsule(key: str) -> None:
    assert seal(FILES, **{**INPUTS, key: "other"}) != seal(FILES, **INPUTS)


@pytest.mark.parametrize(
    "changed",
    [
        ContextFile("app/other.py", "100644", "a" * 40),
        ContextFile("app/serve.py", "100755", "a" * 40),
        ContextFile("app/serve.py", "100644", "c" * 40),
    ],
    ids=["renamed", "made executable", "edited"],
)
def test_a_changed_file_makes_another_capsule(changed: ContextFile) -> None:
    assert seal((changed, FILES[1]), **INPUTS) != seal(FILES, **INPUTS)


def test_a_person_names_it_by_twelve_digits() -> None:
    assert str(Capsule("0123456789abcdef" * 4)) == "0123456789ab"
