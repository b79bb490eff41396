"""The level of trust of an image or a cached test result: of the released branch, or of any other branch.

A commit is reviewed before it is on the released branch. What was built or tested of it before that never
counts for the released branch. A branch may use what the released branch has, as with the scopes of code
hosts' caches.
"""

from enum import StrEnum


class Trust(StrEnum):
    """The level of trust of a commit, and of what was built or tested of it."""

    RELEASED = "released"
    BRANCH = "branch"

    @property
    def prefix(self) -> str:
        """How its tags in the registry and its keys in the test cache begin."""
        return "" if self is Trust.RELEASED else f"{self}-"

    @property
    def readable(self) -> tuple["Trust", ...]:
        """The levels whose images and cached test results count for it, in order of preference."""
        return (Trust.RELEASED,) if self is Trust.RELEASED else (Trust.RELEASED, Trust.BRANCH)
