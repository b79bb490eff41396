"""What a release would change, for the person who approves it."""

from collections.abc import Sequence

from flows.core.markdown import block, plain
from flows.core.release.decision import Candidate, Request
from flows.core.release.manifests_diff import diff
from flows.core.release.record import Object, Record

LISTED = 20
"""Number of commits that are listed; the rest is counted."""


def describe(
    request: Request,
    candidate: Candidate,
    objects: Sequence[Object],
    live: Record | None,
    commits: Sequence[str] | None,
) -> str:
    """Markdown: what is live and what is requested, the commits between them (None: not known), who asked
    and why.

    `objects` are those that would be applied; the text ends with their diff against the live release's.
    """
    lines = [
        f"**Release {plain(candidate)} to {plain(request.environment)}?**",
        f"- live now: {plain(live.content) if live else 'nothing'}",
        f"- model: {plain(_model_change(candidate, live))}",
        f"- asked by: {plain(request.asked_by)}"
        + (f", because: {plain(request.reason)}" if request.reason else ""),
    ]
    if live is None:
        return "\n".join([*lines, f"- manifests: {plain(candidate.source)}"])
    if commits is None:
        between = f"{live.content.commit[:7]} to {candidate.content.commit[:7]}"
        lines.append(f"- commits: {between} (they could not be listed)")
    elif commits:
        lines.append(f"- {len(commits)} commit{'s' if len(commits) > 1 else ''}:")
        lines += [f"    - {plain(commit)}" for commit in commits[:LISTED]]
        lines += [f"    - and {len(commits) - LISTED} more"] if len(commits) > LISTED else []
    else:
        lines.append("- commits: none that what is live lacks")
    return "\n".join([*lines, *_manifests_change(candidate, objects, live)])


def _manifests_change(candidate: Candidate, objects: Sequence[Object], live: Record) -> list[str]:
    changed = diff(live.objects, live.image, objects, candidate.image)
    if not changed:
        return ["- manifests: unchanged, but for the image"]
    return [
        f"- manifests: {plain(live.source or 'not recorded')} → {plain(candidate.source)}",
        "",
        block("\n".join(changed), "diff"),
    ]


def _model_change(candidate: Candidate, live: Record | None) -> str:
    model = candidate.content.model
    if live is None or live.content.model.digest == model.digest:
        return f"{model}, unchanged" if live else str(model)
    return f"{live.content.model} → {model}"
