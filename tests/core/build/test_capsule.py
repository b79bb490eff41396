from typing import Any

import pytest

from flows.core.build.capsule import ATTACHED, Capsule, ContextFile, capsule_of, seal
from flows.core.build.image import TAG
from flows.core.build.trust import Trust

FILES = (ContextFile("app/serve.py", "100644", "a" * 40), ContextFile("Dockerfile", "100644", "b" * 40))
INPUTS: dict[str, Any] = {
    "model_digest": "sha256:1",
    "manifest_digest": "sha256:2",
    "base_image": "python@sha256:3",
    "dockerfile": "Dockerfile",
    "platform": "linux/amd64",
}


def test_the_same_inputs_in_any_order_are_the_same_capsule() -> None:
    assert seal(FILES, **INPUTS) == seal(reversed(FILES), **INPUTS)


def test_a_capsule_makes_a_valid_tag_for_each_level_of_trust() -> None:
    capsule = seal(FILES, **INPUTS)
    tags = [capsule.tag_for(trust) for trust in Trust]
    assert tags == [capsule.hash, f"branch-{capsule.hash}"]
    assert all(TAG.fullmatch(tag + ATTACHED) and capsule_of(tag) == capsule.hash for tag in tags)


@pytest.mark.parametrize("tag", ["latest", "v1", "a" * 63, "branch-latest", f"Branch-{'a' * 64}", "A" * 64])
def test_other_tags_are_of_no_capsule(tag: str) -> None:
    assert capsule_of(tag) is None


@pytest.mark.parametrize("key", sorted(INPUTS))
def test_every_input_makes_another_capsule(key: str) -> None:
    assert seal(FILES, **{**INPUTS, key: "other"}) != seal(FILES, **INPUTS)


def test_the_tests_see_everything_but_the_model() -> None:
    sealed = seal(FILES, **INPUTS)
    others = {key: seal(FILES, **{**INPUTS, key: "other"}) for key in INPUTS}
    others["files"] = seal(FILES[1:], **INPUTS)
    same = {key for key, other in others.items() if other.code == sealed.code}
    assert same == {"model_digest", "manifest_digest"}
    assert all(other.hash != sealed.hash for other in others.values())


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
