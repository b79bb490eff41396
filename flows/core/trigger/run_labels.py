"""What a flow run is called and found by, so that the list of runs shows what was done to what."""

from collections.abc import Collection, Iterable, Mapping
from textwrap import shorten

TRIGGERED = "triggered"
"""Tag of a run that a trigger started. Those that people started carry the same tags beside it, and are left
alone by triggers."""

RESTARTED = "restarted"
"""Tag of a run that was started in place of one that crashed."""

RESTARTED_IN_0_1 = "again"
"""The same tag on runs of version 0.1, which stay on the server."""

WHY = " — "
"""Between a run's name and why it ended as it did."""

LONGEST_REASON = 120
"""Characters of a reason in a name."""

FOUND_OUT = ("branch:", "commit:", "model:", "environment:", "to:")
"""How the tags begin that a run gets once it knows what it is about."""


def given_tags(tags: Iterable[str]) -> list[str]:
    """Those that a run was started with: the others may be untrue of one that is started in its place."""
    return [tag for tag in tags if not tag.startswith(FOUND_OUT)]


def was_restarted(tags: Collection[str]) -> bool:
    """Whether a run with these tags stands in for one that crashed."""
    return RESTARTED in tags or RESTARTED_IN_0_1 in tags


def restart_key(crashed: str) -> str:
    """The idempotency key of the run that is started in place of the one of that id.

    Servers have it on older runs: another form would restart those a second time.
    """
    return f"again:{crashed}"


def branch_tag(branch: str) -> str:
    """On every run for a commit of that branch."""
    return f"branch:{branch}"


def commit_tag(sha: str) -> str:
    """On every run for that commit."""
    return f"commit:{sha[:12]}"


def model_tag(name: str, version: str) -> str:
    """On every run for that model."""
    return f"model:{name} {version}"


def environment_tag(name: str) -> str:
    """On every run that looks at, or changes, that environment."""
    return f"environment:{name}"


def to_tag(environment: str, content: str) -> str:
    """On every run that means to bring that content there: one through all environments may bring each
    another one, which the tags of commits and models don't tell apart."""
    return f"to:{environment} {content}"


def ci_name(content: str, branch: str) -> str:
    """Of a run that builds that commit and model; `branch` is "" where the commit is on none."""
    return f"{content} on {branch}" if branch else content


def release_name(contents: Mapping[str, str]) -> str:
    """Of a release of that content to each of these environments."""
    return _joined(contents, " ← ")


def verify_name(contents: Mapping[str, str]) -> str:
    """Of a run that asks what is live in these environments for its proof again."""
    return _joined(contents, ": verify ")


def with_reason(name: str, reason: str) -> str:
    """The name, and the first sentence of why the run ended so, if any, instead of one that is there."""
    first, _, _ = " ".join(reason.split()).partition(". ")
    text = shorten(first.rstrip("."), LONGEST_REASON, placeholder=" …")
    return name.partition(WHY)[0] + (WHY + text if text else "")


def _joined(contents: Mapping[str, str], between: str) -> str:
    """Environments with the same content side by side."""
    places: dict[str, list[str]] = {}
    for environment, content in contents.items():
        places.setdefault(content, []).append(environment)
    return "; ".join(f"{', '.join(names)}{between}{content}" for content, names in places.items())
