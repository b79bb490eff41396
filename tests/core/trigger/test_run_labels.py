"""Names of runs, as the list shows them."""

from flows.core.trigger.run_labels import (
    TRIGGERED,
    base_tag,
    branch_tag,
    ci_name,
    commit_tag,
    given_tags,
    model_tag,
    release_name,
    verify_name,
    with_reason,
)

ONE, OTHER = "4f2c9e1 + classifier 1.1.0", "8a1b2c3 + classifier 1.1.0"


def test_a_build_is_named_for_content_and_branch_if_there_is_one() -> None:
    assert ci_name(ONE, "main") == "4f2c9e1 + classifier 1.1.0 on main"
    assert ci_name(ONE, "") == ONE


def test_a_release_is_named_for_where_its_content_goes() -> None:
    assert release_name({"production": ONE}) == "production ← 4f2c9e1 + classifier 1.1.0"
    assert release_name({"staging": ONE, "production": ONE}) == f"staging, production ← {ONE}"


def test_a_release_of_two_images_names_both() -> None:
    assert release_name({"staging": OTHER, "production": ONE}) == f"staging ← {OTHER}; production ← {ONE}"


def test_a_verification_is_named_for_what_is_live() -> None:
    assert verify_name({"staging": ONE}) == f"staging: verify {ONE}"


def test_why_a_run_ended_so_is_said_behind_its_name() -> None:
    failed = "2 of 31 tests failed: test_a,\ntest_b. Correct them."
    assert with_reason(f"{ONE} on main", failed) == f"{ONE} on main — 2 of 31 tests failed: test_a, test_b"


def test_a_run_that_is_tried_again_says_how_it_ended_last() -> None:
    failed = with_reason(ONE, "The disk is full.")
    assert with_reason(failed, "Skipped.") == f"{ONE} — Skipped"
    assert with_reason(failed, "") == ONE


def test_a_long_reason_is_cut_between_two_words() -> None:
    assert with_reason("x", "word " * 40) == f"x — {'word ' * 23}…"


def test_a_run_in_place_of_another_keeps_no_tag_that_it_finds_out_for_itself() -> None:
    found = [branch_tag("main"), commit_tag("a" * 40), model_tag("digits", "1.0.0"), base_tag("sha256:1")]
    assert given_tags([TRIGGERED, *found]) == [TRIGGERED]
