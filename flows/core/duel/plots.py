"""Pictures of a duel, as SVG without scripts, fonts or links of elsewhere."""

from collections.abc import Sequence
from html import escape

from flows.core.duel.comparison import LabelTally
from flows.core.duel.verdict import Tally

WIDTH, LEFT, RIGHT = 640, 150, 20
LABELS = 20
"""Classes that have bars."""

ROW, BAR = 24, 8
LONGEST_LABEL = 22
GREY, LINE, LIVE, CANDIDATE, LOSS = "#e5e7eb", "#374151", "#9ca3af", "#2563eb", "#dc2626"
PLOT_HEIGHT = 110


def difference_plot(tally: Tally, margin: float) -> str:
    """The difference in accuracy with its 95 % interval, on an axis in points; the margin is shaded."""
    bounds = tally.interval
    difference = tally.candidate_accuracy - tally.live_accuracy
    reach = 1.15 * max(abs(bounds.low), abs(bounds.high), margin)
    span = WIDTH - 2 * RIGHT

    def x(share: float) -> float:
        return RIGHT + span * (share + reach) / (2 * reach)

    colour = LOSS if bounds.low < -margin else CANDIDATE
    parts = [
        _rectangle(x(-margin), 25, x(margin) - x(-margin), 45, GREY),
        _line((x(0), 20), (x(0), 75), LINE),
        _line((x(bounds.low), 47), (x(bounds.high), 47), colour, 4),
        f'<circle cx="{x(difference):.1f}" cy="47" r="7" fill="{colour}"/>',
        _text(x(bounds.low), 38, f"{100 * bounds.low:+.1f}"),
        _text(x(bounds.high), 38, f"{100 * bounds.high:+.1f}"),
        _text(x(difference), 68, f"{100 * difference:+.1f}"),
        _text(x(0), 90, "0"),
        _text(x(-margin), 90, f"{-100 * margin:g}"),
        _text(x(margin), 90, f"+{100 * margin:g}"),
        _text(RIGHT, 106, "worse (points)", "start"),
        _text(WIDTH - RIGHT, 106, "better", "end"),
    ]
    return _svg(PLOT_HEIGHT, "Difference in accuracy, candidate minus live, with its 95 % interval", parts)


def label_bars(labels: Sequence[LabelTally]) -> str:
    """A pair of bars for each class, the share that each side answers right; those that lost most first."""
    shown = labels[:LABELS]
    span = WIDTH - LEFT - 60
    parts = []
    for row, one in enumerate(shown):
        top = 26 + row * ROW
        live, candidate = one.live_right / one.examples, one.candidate_right / one.examples
        colour = LOSS if candidate < live else CANDIDATE
        parts += [
            _text(LEFT - 8, top + 13, f"{_short(one.label)} ({one.examples})", "end"),
            _rectangle(LEFT, top, span * live, BAR, LIVE),
            _rectangle(LEFT, top + BAR, span * candidate, BAR, colour),
            _text(LEFT + span + 6, top + 13, f"{100 * one.difference:+.0f}", "start"),
        ]
    parts.append(_text(LEFT, 16, "right of each label: grey live, coloured candidate; points", "start"))
    return _svg(34 + len(shown) * ROW, "Share of right answers of each label", parts)


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, width: int = 1) -> str:
    (x1, y1), (x2, y2) = start, end
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{LINE}">{escape(text)}</text>'


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
