"""The report of a duel: as Markdown for the run's page, and as one HTML file that loads nothing."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from flows.core.duel.comparison import Pair, Reply
from flows.core.duel.duel import Duel
from flows.core.duel.plots import LABELS, difference_plot, label_bars
from flows.core.markdown import plain
from flows.core.text import LONGEST, printable

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #111827; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { border: 1px solid #d1d5db; padding: .3rem .6rem; text-align: left; vertical-align: middle; }
img { image-rendering: pixelated; max-width: 100%; }
"""


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of an input, as PNG."""

    png: bytes

    @property
    def address(self) -> str:
        """The picture itself, as an address."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


Thumbnails = Mapping[str, Thumbnail]
"""By the name of the input; one that can't be shown has none."""


def markdown_page(duel: Duel, decision: str, thumbnails: Thumbnails) -> str:
    """The artifact that Prefect's UI shows. Pictures are in it as addresses that hold their content."""
    comparison = duel.comparison
    rows = [f"| {name} | {plain(text)} |" for name, text in duel.facts()]
    rows.append(f"| latest | {plain(decision)} |")
    plot = difference_plot(comparison.tally, duel.margins.accuracy)
    parts = [
        f"# The duel: {duel.verdict}",
        plain(duel.meaning()),
        f"![Difference in accuracy]({_svg_address(plot)})",
        "\n".join(["| | |", "|---|---|", *rows]),
        "## Labels",
        f"![Right answers of each label]({_svg_address(label_bars(comparison.labels))})",
        *_further_labels(duel),
        "## Answers that changed most",
    ]
    if not comparison.most_changed:
        return "\n\n".join([*parts, "Both sides gave the same answers to all examples."])
    head = ["| input | name | right | candidate | live |", "|---|---|---|---|---|"]
    changed = [_markdown_row(pair, thumbnails) for pair in comparison.most_changed]
    return "\n\n".join([*parts, "\n".join([*head, *changed])])


def html_page(duel: Duel, decision: str, thumbnails: Thumbnails, run: str) -> str:
    """The same as one file: it loads nothing, and runs no script."""
    comparison = duel.comparison
    facts = [*duel.facts(), ("latest", decision), ("run", run)]
    table = "".join(f"<tr><th>{_escaped(name)}</th><td>{_escaped(text)}</td></tr>" for name, text in facts)
    changed = "".join(_html_row(pair, thumbnails) for pair in comparison.most_changed)
    head = "<tr><th>input</th><th>name</th><th>right</th><th>candidate</th><th>live</th></tr>"
    further = "".join(f"<p>{_escaped(line)}</p>" for line in _further_labels(duel))
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>The duel: {_escaped(duel.verdict)}</title>
<meta http-equiv="Content-Security-Policy" content="{policy}">
<style>{STYLE}</style></head><body>
<h1>The duel: {_escaped(duel.verdict)}</h1>
<p>{_escaped(duel.meaning())}</p>
{difference_plot(comparison.tally, duel.margins.accuracy)}
<table>{table}</table>
<h2>Labels</h2>
{label_bars(comparison.labels)}
{further}
<h2>Answers that changed most</h2>
<table>{head}{changed}</table>
</body></html>
"""


def _further_labels(duel: Duel) -> list[str]:
    further = len(duel.comparison.labels) - LABELS
    return [f"{further} further labels lost less, or nothing."] if further > 0 else []


def _markdown_row(pair: Pair, thumbnails: Thumbnails) -> str:
    picture = thumbnails.get(pair.example.input)
    shown = f"![]({picture.address})" if picture else ""
    return f"| {shown} | {' | '.join(plain(cell) for cell in _cells(pair))} |"


def _html_row(pair: Pair, thumbnails: Thumbnails) -> str:
    picture = thumbnails.get(pair.example.input)
    shown = f'<img src="{picture.address}" alt="">' if picture else ""
    return f"<tr><td>{shown}</td>{''.join(f'<td>{_escaped(cell)}</td>' for cell in _cells(pair))}</tr>"


def _cells(pair: Pair) -> Sequence[str]:
    return (
        pair.example.input,
        _short(pair.label),
        _answer(pair.candidate, pair.label),
        _answer(pair.live, pair.label),
    )


def _answer(reply: Reply, right: str) -> str:
    return f"{'✓' if reply.is_right(right) else '✗'} {_short(str(reply))}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _escaped(text: str) -> str:
    return escape(printable(text))


def _svg_address(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
