"""What is live where, and why: asked of clusters, registry, repository, model store and Prefect."""

from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from flows.cli.connection import connection
from flows.cli.options import Env, Json
from flows.cli.output import print_json, print_table
from flows.config import load as configuration
from flows.core.explain.blockers import waiting_manifests
from flows.core.explain.live import explain
from flows.core.explain.status import Away, DeploymentStatus, Place
from flows.core.local_time import wall_time
from flows.core.release.manifests_source import ManifestsSource
from flows.core.release.record import Record


def why(env: Env, *, as_json: Json = False) -> None:
    """Explain why an environment runs what it runs, and why nothing newer."""
    configuration.load().environment(env)
    connection().export()
    from flows.explain import ask  # noqa: PLC0415  # it imports Prefect

    found = ask.status(env)
    if as_json:
        print_json(status_json(found))
    else:
        print("\n".join(explain(found)))


def history(env: Env, *, as_json: Json = False) -> None:
    """List the releases of an environment, the newest first."""
    settings = configuration.load()
    settings.environment(env)
    connection().export()
    from flows.explain import ask  # noqa: PLC0415  # it imports Prefect

    found = ask.history(env)
    if as_json:
        print_json({"environment": env, "releases": [_record_json(record) for record in found]})
    else:
        rows = (_record_row(record, settings.nights.zone) for record in found)
        print_table(("RELEASE", "STARTED", "STATUS", "WHAT", "BY", "WHY"), rows)


def environments(*, as_json: bool) -> None:
    """What is live in each environment, wherever its cluster is."""
    connection().export()
    from flows.explain import ask  # noqa: PLC0415  # it imports Prefect

    found = ask.places()
    if as_json:
        print_json({"environments": {place.name: _place_json(place) for place in found}})
    else:
        print_table(("ENVIRONMENT", "RELEASE", "LIVE", "HELD"), map(_place_row, found))


def status_json(status: DeploymentStatus) -> dict[str, Any]:
    """What `slipway why --json` prints; docs/operations.md lists the keys."""
    return {
        "environment": status.here.name,
        **_place_json(status.here),
        "manifests": _manifests_json(status),
        "sentences": [line.strip() for line in explain(status)],
        "unknown": [{"system": away.system, "because": away.because} for away in status.away],
    }


def _manifests_json(status: DeploymentStatus) -> dict[str, Any]:
    """The manifests that are live, those that `[manifests] ref` names, those that would be released next, and
    the reason why they are not live; null where there are none, or they are not known."""
    live = status.here.live
    newest = status.manifests if isinstance(status.manifests, ManifestsSource) else None
    following, reason = waiting_manifests(status) or (None, None)
    sources = {"live": live.source if live else None, "newest": newest, "next": following}
    return {**{name: asdict(one) if one else None for name, one in sources.items()}, "reason": reason}


def _place_json(place: Place) -> dict[str, Any]:
    """`live` and `hold` are null where there is none, or the cluster did not answer: see `known`."""
    live = _record_json(place.live) if place.live else None
    if isinstance(place.snapshot, Away):
        return {"known": False, "live": live, "hold": None}
    hold = place.snapshot.notes.hold
    held = {"since": hold.since, "by": hold.by, "reason": hold.reason} if hold else None
    return {"known": True, "live": live, "hold": held}


def _record_json(record: Record) -> dict[str, Any]:
    return {
        "release": record.number,
        "status": record.verdict,
        "reason": record.reason,
        "commit": record.content.commit,
        "model": record.content.model.name,
        "model_version": record.content.model.version,
        "image": str(record.image),
        "capsule": record.content.capsule,
        "code_half": record.content.code_half or None,
        "model_half": record.content.model_half or None,
        "manifests_commit": record.source.commit if record.source else None,
        "by": record.asked_by,
        "asked_for": record.asked_for,
        "run": record.run,
        "started": record.started,
        "good_since": record.good_since,
        "ended": record.ended,
    }


def _record_row(record: Record, zone: ZoneInfo) -> tuple[str, ...]:
    started = wall_time(record.started, zone)
    why = " ".join((record.asked_for or record.reason).split())
    return str(record.number), started, record.verdict, str(record.content), record.asked_by, why


def _place_row(place: Place) -> tuple[str, ...]:
    if isinstance(place.snapshot, Away):
        return place.name, "-", f"not known: {place.snapshot.because}", "-"
    hold = place.snapshot.notes.hold
    live = place.live
    release, content = (str(live.number), str(live.content)) if live else ("-", "nothing is live")
    return place.name, release, content, f"by {hold.by}: {hold.reason}" if hold else "-"
