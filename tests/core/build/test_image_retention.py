"""What may be deleted, and what never is."""

from datetime import UTC, datetime, timedelta

import pytest

from flows.core.build.image_retention import (
    Freed,
    LocalImage,
    Named,
    Tagged,
    first_images,
    removable_manifests,
    removable_names,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)
BEFORE = NOW - timedelta(days=14)
OLD, YOUNG = NOW - timedelta(days=30), NOW - timedelta(days=1)
A, B, C = "a" * 64, "b" * 64, "c" * 64
REPOSITORY = "localhost:5001/slipway/classifier"


def image(capsule: str, created: datetime | None = OLD) -> Tagged:
    return Tagged(capsule, f"sha256:image-{capsule[:1]}", created)


def model(capsule: str, digest: str = "") -> Tagged:
    return Tagged(f"{capsule}.model", digest or f"sha256:model-{capsule[:1]}")


def going(*tags: Tagged, named: Named | None = None, newest: int = 0) -> list[str]:
    return [one.tag for one in removable_manifests(tags, named or Named(), BEFORE, newest)]


@pytest.mark.parametrize(
    ("why", "tags", "named", "gone"),
    [
        ("nothing names it", [image(A), model(A)], Named(), [A, f"{A}.model"]),
        ("it is young", [image(A, YOUNG), model(A)], Named(), []),
        ("nobody knows how old it is", [image(A, None), model(A)], Named(), []),
        ("named by digest", [image(A), model(A)], Named(digests=frozenset({"sha256:image-a"})), []),
        ("named by capsule", [image(A), model(A)], Named(capsules=frozenset({A})), []),
        ("another one is named", [image(A), image(B)], Named(capsules=frozenset({B})), [A]),
        ("somebody's own tag", [image(A), Tagged("v1", "sha256:image-a")], Named(), []),
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


def test_the_newest_images_stay_however_old() -> None:
    tags = [image(A, OLD), image(B, OLD - timedelta(days=1)), image(C, OLD - timedelta(days=2))]
    assert going(*tags, newest=2) == [C]
    assert going(*tags, newest=3) == []


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
        ("of tests", local(f"{REPOSITORY}-tests:aaaa"), Named(), [f"{REPOSITORY}-tests:aaaa"]),
        ("young", local(f"{REPOSITORY}:{A}", created=YOUNG), Named(), []),
        ("named by capsule", local(f"{REPOSITORY}:{A}"), Named(capsules=frozenset({A})), []),
        ("by digest", local(f"{REPOSITORY}:{A}", digests=("x",)), Named(digests=frozenset({"x"})), []),
        ("another project's", local(f"{REPOSITORY}-of-others:{A}", f"other/app:{A}"), Named(), []),
        ("somebody's own tag", local(f"{REPOSITORY}:mine"), Named(), []),
        ("two names", local("other:1", f"{REPOSITORY}:{A}"), Named(), [f"{REPOSITORY}:{A}"]),
    ],
)
def test_an_image_on_the_engine_goes_when_it_is_the_projects_and_nothing_names_it(
    why: str, found: LocalImage, named: Named, gone: list[str]
) -> None:
    assert removable_names([found], REPOSITORY, named, BEFORE) == gone, why


def test_what_was_freed_reads_as_a_number_and_a_size() -> None:
    assert str(Freed("models", 2, 18_500_000)) == "2, 18.5 MB"
    assert str(Freed("flow runs", 7, None)) == "7"
    assert str(Freed("models", 0)) == "0"
    assert Freed("models", 2, 1) + Freed("models", 1, 2) == Freed("models", 3, 3)
    assert Freed("models", 2, None) + Freed("models", 1, 2) == Freed("models", 3, None)
