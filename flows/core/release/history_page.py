"""The history pages: what is live in an environment, and how a branch's newest build ended.

Each page is written under one key whenever it changes, so Prefect keeps its earlier versions as the history.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from flows.core.local_time import wall_time
from flows.core.markdown import linked, plain
from flows.core.release import record as records
from flows.core.release.record import Record

LONGEST_KEY = 60
"""Characters of a branch's name in a key."""

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
    """The key of the page of an environment."""
    return f"live-{environment}"


def branch_key(branch: str) -> str:
    """The key of the page of a branch.

    Prefect allows a-z, 0-9 and dashes. A name with other characters gets a digest's first digits, so that no
    two branches share a page.
    """
    name = re.sub("[^a-z0-9]+", "-", branch.lower()).strip("-")[:LONGEST_KEY]
    if name != branch:
        name = f"{name}-{hashlib.sha256(branch.encode()).hexdigest()[:6]}".lstrip("-")
    return f"ci-{name}"


def branch_page(branch: str, outcome: str, facts: Mapping[str, object], link: str) -> Page:
    """How the newest run of ci for the branch ended, and what it built."""
    rows = [f"| {name} | {plain(value)} |" for name, value in facts.items()]
    rows.append(f"| run | {linked('this one', link)} |")
    return Page(outcome, "\n".join((f"# {plain(branch)}: {plain(outcome)}", "", "| | |", "|---|---|", *rows)))


def environment_page(environment: str, history: Sequence[Record], link: Link, zone: tzinfo) -> Page:
    """What is live, since when, why and for whom; and every other release that is recorded, newest first."""
    current = records.live(history)
    headline = (
        f"{environment} runs {current.content} as release {current.number}"
        if current
        else f"Nothing is live in {environment}"
    )
    parts = [f"# {plain(headline)}"]
    if current:
        rows = _facts(current, link, zone)
        parts.append("\n".join(("| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items()))))
    others = [record for record in records.newest_first(history) if record != current]
    if others:
        head = ("| release | what | from | to | how it ended | asked by | why | run |", "|---" * 8 + "|")
        parts.append("\n".join(("## Others", "", *head, *(_row(r, link, zone) for r in others))))
    return Page(headline, "\n\n".join(parts))


def _facts(record: Record, link: Link, zone: tzinfo) -> dict[str, str]:
    facts = {
        "live since": _time(record.good_since, zone),
        "asked by": plain(record.asked_by),
        "because": plain(record.asked_for),
        "decided": plain(record.reason),
        "image": plain(record.image),
        "halves": plain(record.content.halves),
        "its duel": plain(record.forced),
        "degraded": plain(record.degraded),
        "manifests": plain(record.source) if record.source else "",
        "run": linked(record.run, link(record.run)),
    }
    return {name: value for name, value in facts.items() if value}


def _row(record: Record, link: Link, zone: tzinfo) -> str:
    cells = (
        str(record.number),
        plain(record.content),
        _time(record.started, zone),
        _time(record.ended, zone),
        plain(record.ending),
        plain(record.asked_by),
        plain(f"{record.asked_for} ({record.forced})" if record.forced else record.asked_for),
        linked(record.run[:8], link(record.run)),
    )
    return f"| {' | '.join(cells)} |"


def _time(moment: datetime | None, zone: tzinfo) -> str:
    return wall_time(moment, zone) if moment else ""
