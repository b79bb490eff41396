"""What may be deleted, and what never is."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.core.build.image import tag_of_run
from flows.core.build.image_retention import (
    Freed,
    LocalImage,
    Named,
    Tagged,
    Untagged,
    first_images,
    removable_bases,
    removable_manifests,
    removable_names,
    removable_untagged,
    surplus_names,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
BEFORE = NOW - timedelta(days=14)
OLD, YOUNG = NOW - timedelta(days=30), NOW - timedelta(days=1)
A, B, C = "a" * 64, "b" * 64, "c" * 64
RUN = tag_of_run("6572e6c6-5162-4f33-adf2-489761365020")
BRANCH_A = f"branch-{A}"
REPOSITORY = "localhost:5001/slipway/classifier"


def image(capsule: str, created: datetime | None = OLD) -> Tagged:
    return Tagged(capsule, f"sha256:image-{capsule[-1:]}", created)


def model(capsule: str, digest: str = "") -> Tagged:
    return Tagged(f"{capsule}.model", digest or f"sha256:model-{capsule[-1:]}")


CODE, MODEL = f"code-{'d' * 64}", f"model-{'e' * 64}"
HALVES = frozenset({CODE, MODEL})


def half(tag: str, created: datetime | None = OLD) -> Tagged:
    return Tagged(tag, f"sha256:{tag}", created)


def composed(capsule: str, created: datetime = OLD) -> Tagged:
    return Tagged(capsule, f"sha256:image-{capsule[-1:]}", created, HALVES)


def going(*tags: Tagged, named: Named | None = None, newest: int = 0) -> list[str]:
    return [one.tag for one in removable_manifests(tags, named or Named(), BEFORE, newest)]


@pytest.mark.parametrize(
    ("why", "tags", "named", "gone"),
    [
        ("nothing names it", [image(A), model(A)], Named(), [A, f"{A}.model"]),
        ("it is young", [image(A, YOUNG), model(A)], Named(), []),
        ("its age is not known", [image(A, None), model(A)], Named(), []),
        ("named by digest", [image(A), model(A)], Named(digests=frozenset({"sha256:image-a"})), []),
        ("named by capsule", [image(A), model(A)], Named(capsules=frozenset({A})), []),
        (
            "of a branch, and nothing names it",
            [image(f"branch-{A}"), model(f"branch-{A}")],
            Named(),
            [f"branch-{A}", f"branch-{A}.model"],
        ),
        (
            "of a branch, named by capsule",
            [image(f"branch-{A}"), model(f"branch-{A}")],
            Named(capsules=frozenset({A})),
            [],
        ),
        ("another one is named", [image(A), image(B)], Named(capsules=frozenset({B})), [A]),
        ("a tag of another tool", [image(A), Tagged("v1", "sha256:image-a")], Named(), []),
        ("tags that are no capsule's", [Tagged("latest", "sha256:index"), Tagged("v1", "x")], Named(), []),
        ("the image may be on the way", [model(A)], Named(), []),
        (
            "the same model is attached to one that stays",
            [image(A), model(A, "sha256:m"), image(B), model(B, "sha256:m")],
            Named(capsules=frozenset({B})),
            [A],
        ),
        (
            "the same model is attached to those that go alone",
            [image(A), model(A, "sha256:m"), image(B), model(B, "sha256:m")],
            Named(),
            [A, f"{A}.model", B, f"{B}.model"],
        ),
    ],
)
def test_an_image_and_its_model_go_when_nothing_names_them(
    why: str, tags: list[Tagged], named: Named, gone: list[str]
) -> None:
    assert going(*tags, named=named) == gone, why


@pytest.mark.parametrize(
    ("why", "tags", "named", "gone"),
    [
        ("no image names them", [half(CODE), half(MODEL)], Named(), [CODE, MODEL]),
        ("of a branch", [half(f"branch-{CODE}")], Named(), [f"branch-{CODE}"]),
        ("their image is on its way", [half(CODE, YOUNG), half(MODEL, YOUNG)], Named(), []),
        ("their age is not known", [half(CODE, None), half(MODEL, None)], Named(), []),
        ("their only image goes", [composed(A), half(CODE), half(MODEL)], Named(), [A, CODE, MODEL]),
        ("their image is young", [composed(A, YOUNG), half(CODE), half(MODEL)], Named(), []),
        (
            "a release has their image",
            [composed(A), half(CODE), half(MODEL)],
            Named(capsules=frozenset({A})),
            [],
        ),
        (
            "a branch's image stays, which was made of the released branch's half",
            [composed(A), composed(f"branch-{B}", YOUNG), half(CODE), half(f"branch-{CODE}"), half(MODEL)],
            Named(),
            [A],
        ),
        ("another image stays", [image(A, YOUNG), half(CODE), half(MODEL)], Named(), [CODE, MODEL]),
        (
            "the same manifest has a tag that stays",
            [half(CODE), Tagged("mine", f"sha256:{CODE}")],
            Named(),
            [],
        ),
    ],
)
def test_a_half_goes_when_no_image_that_stays_names_it(
    why: str, tags: list[Tagged], named: Named, gone: list[str]
) -> None:
    assert going(*tags, named=named) == gone, why


def untagged(digest: str = "sha256:x", since: datetime = OLD) -> Untagged:
    return Untagged(digest, "run-1", since)


@pytest.mark.parametrize(
    ("why", "noted", "tags", "named", "goes"),
    [
        ("its trial failed long ago", untagged(), [image(A)], Named(), True),
        ("its trial may be under way", untagged(since=YOUNG), [], Named(), False),
        ("it has a capsule's tag", untagged(), [Tagged(A, "sha256:x", OLD)], Named(), False),
        ("it has the tag of a branch", untagged(), [Tagged(BRANCH_A, "sha256:x", OLD)], Named(), False),
        ("it has a person's tag", untagged(), [Tagged("mine", "sha256:x")], Named(), False),
        ("a release has it", untagged(), [], Named(digests=frozenset({"sha256:x"})), False),
    ],
)
def test_an_image_without_a_tag_goes_unless_anything_names_it(
    why: str, noted: Untagged, tags: list[Tagged], named: Named, *, goes: bool
) -> None:
    assert removable_untagged([noted], tags, named, BEFORE) == ([noted] if goes else []), why


def test_the_newest_images_stay_however_old() -> None:
    tags = [image(A, OLD), image(B, OLD - timedelta(days=1)), image(C, OLD - timedelta(days=2))]
    assert going(*tags, newest=2) == [C]
    assert going(*tags, newest=3) == []


def test_images_of_branches_push_out_none_of_the_released_branch() -> None:
    tags = [image(A, OLD), image(f"branch-{B}", OLD + timedelta(days=1)), image(f"branch-{C}")]
    assert going(*tags, newest=1) == [f"branch-{C}"]


@pytest.mark.parametrize(
    ("why", "tags", "gone"),
    [
        ("its model goes along", [image(A), model(A), image(B), model(B)], [A, f"{A}.model"]),
        (
            "a model that a later one needs stays for now",
            [image(A), model(A, "sha256:m"), image(B), model(B, "sha256:m")],
            [A],
        ),
        (
            "a model of images that have gone before does not wait for ever",
            [model(A, "sha256:m"), model(B, "sha256:m"), model(C, "sha256:m")],
            [f"{A}.model", f"{B}.model", f"{C}.model"],
        ),
    ],
)
def test_what_goes_can_go_an_image_at_a_time(why: str, tags: list[Tagged], gone: list[str]) -> None:
    assert [one.tag for one in first_images(tags, 1)] == gone, why


def local(*names: str, created: datetime = OLD, digests: tuple[str, ...] = ()) -> LocalImage:
    return LocalImage("sha256:id", names, digests, created)


@pytest.mark.parametrize(
    ("why", "found", "named", "gone"),
    [
        ("old", local(f"{REPOSITORY}:{A}"), Named(), [f"{REPOSITORY}:{A}"]),
        ("of a branch", local(f"{REPOSITORY}:{BRANCH_A}"), Named(), [f"{REPOSITORY}:{BRANCH_A}"]),
        ("of a branch, named", local(f"{REPOSITORY}:{BRANCH_A}"), Named(capsules=frozenset({A})), []),
        ("of tests", local(f"{REPOSITORY}-tests:aaaa"), Named(), [f"{REPOSITORY}-tests:aaaa"]),
        ("young", local(f"{REPOSITORY}:{A}", created=YOUNG), Named(), []),
        ("named by capsule", local(f"{REPOSITORY}:{A}"), Named(capsules=frozenset({A})), []),
        ("by digest", local(f"{REPOSITORY}:{A}", digests=("x",)), Named(digests=frozenset({"x"})), []),
        ("another project's", local(f"{REPOSITORY}-of-others:{A}", f"other/app:{A}"), Named(), []),
        ("of a run", local(f"{REPOSITORY}:{RUN}"), Named(), [f"{REPOSITORY}:{RUN}"]),
        ("a half", local(f"{REPOSITORY}:{CODE}"), Named(), [f"{REPOSITORY}:{CODE}"]),
        ("of a young run", local(f"{REPOSITORY}:{RUN}", created=YOUNG), Named(), []),
        ("a tag that a person made", local(f"{REPOSITORY}:mine", f"{REPOSITORY}:run-mine"), Named(), []),
        ("two names", local("other:1", f"{REPOSITORY}:{A}"), Named(), [f"{REPOSITORY}:{A}"]),
    ],
)
def test_an_image_on_the_engine_goes_when_it_is_the_projects_and_nothing_names_it(
    why: str, found: LocalImage, named: Named, gone: list[str]
) -> None:
    assert removable_names([found], REPOSITORY, named, BEFORE) == gone, why


@pytest.mark.parametrize(
    ("why", "digest", "created", "gone"),
    [
        ("an earlier one", "sha256:1", OLD, ["python@sha256:1"]),
        ("it may be in use yet", "sha256:1", YOUNG, []),
        ("today's", "sha256:2", OLD, []),
    ],
)
def test_a_base_image_goes_when_it_is_another_by_now(
    why: str, digest: str, created: datetime, gone: list[str]
) -> None:
    found = local(f"python@{digest}", digests=(digest,), created=created)
    assert removable_bases([found], "sha256:2", BEFORE) == gone, why


def test_what_was_freed_reads_as_a_number_and_a_size() -> None:
    assert str(Freed("models", 2, 18_500_000)) == "2, 18.5 MB"
    assert str(Freed("flow runs", 7, None)) == "7"
    assert str(Freed("models", 0)) == "0"
    assert Freed("models", 2, 1) + Freed("models", 1, 2) == Freed("models", 3, 3)
    assert Freed("models", 2, None) + Freed("models", 1, 2) == Freed("models", 3, None)


def test_on_an_engine_the_newest_images_of_the_project_stay() -> None:
    def named(age: int, *names: str) -> LocalImage:
        return LocalImage(f"sha256:{age}", names, (), NOW - timedelta(hours=age))

    images = [
        named(4, f"{REPOSITORY}-tests:{RUN}", f"{REPOSITORY}:v1"),
        named(3, f"{REPOSITORY}:{A}"),
        named(1, f"{REPOSITORY}:{RUN}"),
        named(2, f"{REPOSITORY}:{BRANCH_A}"),
    ]
    assert surplus_names(images, REPOSITORY, 4) == []
    assert surplus_names(images, REPOSITORY, 2) == [f"{REPOSITORY}:{A}", f"{REPOSITORY}-tests:{RUN}"]
