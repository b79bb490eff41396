"""The report of a duel: all that it shows is in it, and what others wrote is plain text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from flows.core.duel.comparison import Pair, Reply, compare
from flows.core.duel.page import Thumbnail, html_page, markdown_page
from flows.core.duel.plots import LABELS, difference_plot, label_bars
from tests.core.duel.duels import duel, golden_set, pairs

SVG = "{http://www.w3.org/2000/svg}"
WORSE = duel(lost=30, won=3)
PICTURES = {"inputs/000.png": Thumbnail(b"a picture")}
HARMFUL = '<script>alert(1)</script>|![x](https://evil.example/seen.png)"'


class Addresses(HTMLParser):
    """All that a page loads or leads to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in {"src", "href", "data", "action"}]


def test_the_html_report_loads_nothing_and_runs_nothing() -> None:
    found = Addresses(html_page(WORSE, "stays because of the verdict", PICTURES, "1234abcd"))
    assert found.found
    assert all(address.startswith("data:image/png;base64,") for address in found.found)
    assert not {"script", "link", "iframe", "object", "form"} & set(found.tags)


@pytest.mark.parametrize("text", ["worse", "stays because of the verdict", "94.0 % right", "inputs/000.png"])
def test_both_reports_say_the_same(text: str) -> None:
    assert text in html_page(WORSE, "stays because of the verdict", PICTURES, "1234abcd")
    assert text in markdown_page(WORSE, "stays because of the verdict", PICTURES).replace("\\", "")


def test_twenty_changed_examples_are_shown_with_their_pictures() -> None:
    page = markdown_page(WORSE, "", PICTURES)
    rows = page.partition("## Answers that changed most")[2].strip().splitlines()[2:]
    assert len(rows) == 20
    assert sum("data:image/png;base64,YSBwaWN0dXJl" in row for row in rows) == 1
    assert 'crane | ✗ "wrong" 90.0 % | ✓ "crane" 90.0 %' in rows[0]


def test_without_a_change_the_report_says_so() -> None:
    assert "Both sides gave the same answers" in markdown_page(duel(), "", {})


def test_what_others_wrote_is_plain_text() -> None:
    golden = golden_set(labels=(HARMFUL, "stork"))
    example = replace(golden.examples[0], input="inputs/000.png")
    changed = Pair(example, HARMFUL, Reply(((HARMFUL, 90.0),)), Reply(failure=HARMFUL))
    held = replace(WORSE, golden=golden, comparison=compare([changed]), live=HARMFUL, notes=(HARMFUL,))
    html = html_page(held, HARMFUL, {}, HARMFUL)
    assert "<script" not in html
    assert Addresses(html).found == []
    markdown = markdown_page(held, HARMFUL, {})
    assert not re.search(r"(?<!\\)!\[x", markdown)
    assert not re.search(r"(?<!\\)<script", markdown)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314  # it is our own


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in parsed(svg).iter(f"{SVG}text")]


def test_the_plot_shows_the_difference_its_interval_and_the_margin() -> None:
    shown = texts(difference_plot(WORSE.comparison.tally, 0.02))
    assert shown[:6] == ["-7.6", "-3.2", "-5.4", "0", "-2", "+2"]


@pytest.mark.parametrize(
    ("lost", "won", "examples"), [(0, 0, 100), (100, 0, 100), (0, 100, 100), (1, 0, 100)]
)
def test_every_plot_fits_its_frame(lost: int, won: int, examples: int) -> None:
    root = parsed(difference_plot(duel(lost, won, examples).comparison.tally, 0.02))
    places = [float(one.get(key, "0")) for one in root.iter() for key in ("x", "x1", "x2", "cx")]
    assert all(0 <= place <= 640 for place in places)


def test_a_bar_for_each_label_those_that_lost_most_first() -> None:
    shown = texts(label_bars(WORSE.comparison.labels))
    assert shown[0] == "stork (250)"
    assert shown[2] == "crane (250)"


def test_of_many_labels_the_first_have_bars_and_the_rest_is_counted() -> None:
    golden = golden_set(labels=tuple(f"label {i}" for i in range(50)))
    many = replace(WORSE, golden=golden, comparison=compare(pairs(golden, 30, 3, 500)))
    assert len(texts(label_bars(many.comparison.labels))) == 2 * LABELS + 1
    assert "30 further labels lost less, or nothing" in markdown_page(many, "", {})
