from typing import Any

import pytest

from flows.core.build.capsule import ATTACHED, Capsule, ContextFile, capsule_of, half_of, seal
from flows.core.build.image import TAG
from flows.core.build.trust import Trust

FILES = (ContextFile("app/serve.py", "100644", "a" * 40), ContextFile("Dockerfile", "100644", "b" * 40))
INPUTS: dict[str, Any] = {
    "model_digest": "sha256:1",
    "manifest_digest": "sha256:2",
    "base_image": "python@sha256:3",
    "dockerfile": "Dockerfile",
    "platform": "linux/amd64",
    "model_path": "/model",
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


def test_a_capsule_is_made_of_a_code_half_and_a_model_half() -> None:
    sealed = seal(FILES, **INPUTS)
    others = {key: seal(FILES, **{**INPUTS, key: "other"}) for key in INPUTS}
    others["files"] = seal(FILES[1:], **INPUTS)
    same_code = {key for key, other in others.items() if other.code == sealed.code}
    same_model = {key for key, other in others.items() if other.model == sealed.model}
    assert same_code == {"model_digest", "manifest_digest"}
    assert same_model == {"files", "base_image", "dockerfile", "platform"}
    assert all(other.hash != sealed.hash for other in others.values())


def test_halves_have_tags_of_their_own_and_only_codes_name_the_level_of_trust() -> None:
    sealed = seal(FILES, **INPUTS)
    code, model = f"code-{sealed.code}", f"model-{sealed.model}"
    tags = [sealed.code_tag(Trust.RELEASED), sealed.code_tag(Trust.BRANCH), sealed.model_tag]
    assert tags == [code, f"branch-{code}", model]
    assert all(TAG.fullmatch(tag) and capsule_of(tag) is None for tag in tags)
    assert [half_of(tag) for tag in tags] == [code, code, model]


@pytest.mark.parametrize("tag", ["latest", "a" * 64, f"code-{'a' * 63}", f"model-{'a' * 64}.model"])
def test_other_tags_are_of_no_half(tag: str) -> None:
    assert half_of(tag) is None


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
