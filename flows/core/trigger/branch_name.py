"""Git's own rules for the names of branches (git-check-ref-format, rules 1 to 10)."""

import re

FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
"""Control characters, space, and what git's syntax of revisions means something by."""


def is_branch_name(name: str) -> bool:
    """Whether git lets a branch have this name."""
    parts = name.split("/")
    return (
        name not in {"", "HEAD"}
        and not FORBIDDEN.search(name)
        and not name.startswith("-")
        and not name.endswith(".")
        and not any(part == "" or part.startswith(".") or part.endswith(".lock") for part in parts)
    )
