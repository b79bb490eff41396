"""The pages of a ledger: what is live in an environment, and how a branch's newest build ended.

Each is written under one key whenever it changes, so that Prefect's history of the key is the ledger.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from flows.core.local_time import wall_time
from flows.core.release import record as records
from flows.core.release.record import Record

LONGEST_KEY = 60
"""Of a branch's name in a key."""

NIGHTS = "nightly"
"""The key of the table of nights."""

Link = Callable[[str], str]
"""A flow run's id -> where a person sees it, or "" where that is not known."""


@dataclass(frozen=True)
class Page:
    """Markdown, and the one line that lists show of it."""

    headline: str
    text: str


def environment_key(environment: str) -> str:
    """Of the ledger of what is live there."""
    return f"live-{environment}"


def branch_key(branch: str) -> str:
    """Of the ledger of a branch.

    Prefect allows a-z, 0-9 and dashes. A name that has others gets a digest's first digits, so that no two
    branches share a ledger.
    """
    plain = re.sub("[^a-z0-9]+", "-", branch.lower()).strip("-")[:LONGEST_KEY]
    if plain != branch:
        plain = f"{plain}-{hashlib.sha256(branch.encode()).hexdigest()[:6]}".lstrip("-")
    return f"ci-{plain}"


def verdict(branch: str, outcome: str, facts: Mapping[str, object], link: str) -> Page:
    """How the newest run of ci for the branch ended, and of what."""
    rows = [f"| {name} | {cell(value)} |" for name, value in facts.items()]
    rows.append(f"| run | {_linked('this one', link)} |")
    return Page(outcome, "\n".join((f"# {branch}: {cell(outcome)}", "", "| | |", "|---|---|", *rows)))


def live(environment: str, history: Sequence[Record], link: Link, zone: tzinfo) -> Page:
    """What is live, since when, why and for whom; and every other release that is recorded, newest first."""
    current = records.live(history)
    headline = (
        f"{environment} runs {current.content} as release {current.number}"
        if current
        else f"Nothing is live in {environment}"
    )
    parts = [f"# {headline}"]
    if current:
        rows = _facts(current, link, zone)
        parts.append("\n".join(("| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items()))))
    others = [record for record in records.newest_first(history) if record != current]
    if others:
        head = ("| release | what | from | to | how it ended | asked by | why | run |", "|---" * 8 + "|")
        parts.append("\n".join(("## Others", "", *head, *(_row(r, link, zone) for r in others))))
    return Page(headline, "\n\n".join(parts))


def cell(value: object) -> str:
    """The value as it may stand in a table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def _facts(record: Record, link: Link, zone: tzinfo) -> dict[str, str]:
    facts = {
        "live since": _time(record.good_since, zone),
        "asked by": cell(record.asked_by),
        "because": cell(record.asked_for),
        "decided": cell(record.reason),
        "degraded": cell(record.degraded),
        "image": str(record.image),
        "run": _linked(record.run, link(record.run)),
    }
    return {name: value for name, value in facts.items() if value}


def _row(record: Record, link: Link, zone: tzinfo) -> str:
    cells = (
        str(record.number),
        str(record.content),
        _time(record.started, zone),
        _time(record.ended, zone),
        cell(record.ending),
        cell(record.asked_by),
        cell(record.asked_for),
        _linked(record.run[:8], link(record.run)),
    )
    return f"| {' | '.join(cells)} |"


def _time(moment: datetime | None, zone: tzinfo) -> str:
    return wall_time(moment, zone) if moment else ""


def _linked(text: str, address: str) -> str:
    return f"[{text}]({address})" if address else text
