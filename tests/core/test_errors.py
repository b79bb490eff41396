"""Each error type says what to do, and has a heading in docs/operations.md."""

import re
from collections.abc import Iterator

import pytest

from deployments.local.prefect import flow_runs
from flows.config.load import CHECKOUT
from flows.core.build import test_results
from flows.core.errors import PermanentError, RegistryUnavailable, SeveralFailed, SlipwayError, raise_all

OUTSIDE_OF_THE_TREES_MODULE = (test_results.TestsFailed, flow_runs.RunFailed)
"""Importing their modules makes them part of the tree."""


def tree(kind: type[SlipwayError] = SlipwayError) -> Iterator[type[SlipwayError]]:
    yield kind
    for derived in kind.__subclasses__():
        yield from tree(derived)


OURS = sorted(
    (kind for kind in tree() if not kind.__module__.startswith("tests")), key=lambda kind: kind.__name__
)


def test_the_tree_is_whole() -> None:
    assert {*OUTSIDE_OF_THE_TREES_MODULE} <= {*OURS}


@pytest.mark.parametrize("kind", OURS)
def test_each_error_type_has_its_heading_in_operations(kind: type[SlipwayError]) -> None:
    headings = re.findall(r"^### (.+)$", (CHECKOUT / "docs" / "operations.md").read_text(), re.MULTILINE)
    page, _, anchor = error_of(kind).docs.partition("#")
    assert page == "docs/operations.md"
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("kind", OURS)
def test_each_error_type_says_what_to_do(kind: type[SlipwayError]) -> None:
    advice = error_of(kind).remedy
    assert "advice" in vars(kind)
    assert re.match(r"[A-Z][a-z]+\b", advice)
    assert "?" not in advice


def test_an_error_ends_with_its_link() -> None:
    assert RegistryUnavailable("No answer.", "Start it.").with_docs == (
        "No answer. Start it. See docs/operations.md#registry-unavailable"
    )


@pytest.mark.parametrize(
    ("happened", "sentence"),
    [
        ("The engine refused: no such image..", "The engine refused: no such image."),
        ("It said: no.. Nothing was changed.", "It said: no. Nothing was changed."),
        ("It waits ...", "It waits ..."),
        ("Run it in .. instead.", "Run it in .. instead."),
        ("See ../x.", "See ../x."),
    ],
)
def test_what_another_system_said_ends_with_one_full_stop(happened: str, sentence: str) -> None:
    assert str(RegistryUnavailable(happened, "Start it.")) == f"{sentence} Start it."


def test_of_several_errors_each_is_reported() -> None:
    one, two = RegistryUnavailable("One.", "First."), PermanentError("Two.", "Second.", details="why")
    with pytest.raises(SeveralFailed) as raised:
        raise_all([one, two])
    assert str(raised.value) == "One. First. Two. Second."
    assert raised.value.details == "why"
    assert raised.value.failures == (one, two)


def test_the_only_error_is_raised_as_it_is() -> None:
    only = RegistryUnavailable("One.", "First.")
    with pytest.raises(RegistryUnavailable) as raised:
        raise_all([only])
    assert raised.value is only
    raise_all([])


def error_of(kind: type[SlipwayError]) -> SlipwayError:
    """One without a remedy of its own, whatever else its type asks for."""
    error = kind.__new__(kind)
    SlipwayError.__init__(error, "Something happened.")
    return error
