"""Names and tags of flow runs, so that the list of runs shows which run did what."""

from collections.abc import Collection, Iterable, Mapping
from textwrap import shorten

TRIGGERED = "triggered"
"""Tag of a run that a trigger started. Triggers leave alone the runs without it: people started those, and
they have the same other tags."""

RESTARTED = "restarted"
"""Tag of a run that replaces one that crashed."""

RESTARTED_IN_0_1 = "again"
"""The same tag on runs of version 0.1, which stay on the server."""

WHY = " — "
"""Between a run's name and why it ended as it did."""

LONGEST_REASON = 120
"""Characters of a reason in a name."""

IMAGE = "image:"

FOUND_OUT = ("branch:", "commit:", "model:", "base:", "image:", "environment:", "to:")
"""How the tags begin that a run gets once it knows its commit, model or environment."""


def given_tags(tags: Iterable[str]) -> list[str]:
    """Those that a run was started with: the others may be wrong for a run that replaces it."""
    return [tag for tag in tags if not tag.startswith(FOUND_OUT)]


def was_restarted(tags: Collection[str]) -> bool:
    """Whether a run with these tags replaces one that crashed."""
    return RESTARTED in tags or RESTARTED_IN_0_1 in tags


def restart_key(crashed: str) -> str:
    """The idempotency key of the run that replaces the crashed run of that id.

    Servers have this form on older runs: another form would restart those a second time.
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


def base_tag(digest: str) -> str:
    """On every run whose image has the base image of that digest."""
    return f"base:{digest[:19]}"


def image_tag(digest: str) -> str:
    """On every run of ci whose image is, or was, that one."""
    return f"{IMAGE}{digest}"


def image_of(tags: Iterable[str]) -> str | None:
    """The digest of the image that a run of ci with these tags ended with; None where it has none."""
    return next((tag.removeprefix(IMAGE) for tag in tags if tag.startswith(IMAGE)), None)


def environment_tag(name: str) -> str:
    """On every run that looks at, or changes, that environment."""
    return f"environment:{name}"


def to_tag(environment: str, content: str) -> str:
    """On every run that is to release that content there. A run through all environments may release another
    content to each, which the tags of commits and models do not show."""
    return f"to:{environment} {content}"


def ci_name(content: str, branch: str) -> str:
    """The name of a run that builds that commit and model; `branch` is "" where the commit is on none."""
    return f"{content} on {branch}" if branch else content


def release_name(contents: Mapping[str, str]) -> str:
    """The name of a run that releases that content to each of these environments."""
    return _joined(contents, " ← ")


def verify_name(contents: Mapping[str, str]) -> str:
    """The name of a run that verifies what is live in these environments."""
    return _joined(contents, ": verify ")


def with_reason(name: str, reason: str) -> str:
    """The name with the first sentence of the reason, in place of an earlier reason; "": without one."""
    first, _, _ = " ".join(reason.split()).partition(". ")
    text = shorten(first.rstrip("."), LONGEST_REASON, placeholder=" …")
    return name.partition(WHY)[0] + (WHY + text if text else "")


def _joined(contents: Mapping[str, str], between: str) -> str:
    """Environments with the same content side by side."""
    places: dict[str, list[str]] = {}
    for environment, content in contents.items():
        places.setdefault(content, []).append(environment)
    return "; ".join(f"{', '.join(names)}{between}{content}" for content, names in places.items())
