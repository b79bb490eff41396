"""What a release would change, for the person who approves it."""

from collections.abc import Sequence

from flows.core.release.decision import Candidate, Request
from flows.core.release.record import Record

LISTED = 20
"""Number of commits that are listed; the rest is counted."""


def describe(
    request: Request, candidate: Candidate, live: Record | None, commits: Sequence[str] | None
) -> str:
    """Markdown: what is live and wanted, the commits between them (None: not known), who asked and why."""
    lines = [
        f"**Release {candidate} to {request.environment}?**",
        f"- live now: {live.content if live else 'nothing'}",
        f"- model: {_model_change(candidate, live)}",
        f"- asked by: {request.asked_by}" + (f", because: {request.reason}" if request.reason else ""),
    ]
    if live is None:
        return "\n".join(lines)
    if commits is None:
        between = f"{live.content.commit[:7]} to {candidate.content.commit[:7]}"
        lines.append(f"- commits: {between} (the repository could not be asked)")
    elif commits:
        lines.append(f"- {len(commits)} commit{'s' if len(commits) > 1 else ''}:")
        lines += [f"    - {commit}" for commit in commits[:LISTED]]
        lines += [f"    - and {len(commits) - LISTED} more"] if len(commits) > LISTED else []
    else:
        lines.append("- commits: none that what is live lacks")
    return "\n".join(lines)


def _model_change(candidate: Candidate, live: Record | None) -> str:
    model = candidate.content.model
    if live is None or live.content.model.digest == model.digest:
        return f"{model}, unchanged" if live else str(model)
    return f"{live.content.model} → {model}"
