"""Where the manifests of a release come from: a folder of a commit, which two environments can share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ManifestsSource:
    """A folder in a commit of a git repository.

    `tree` is git's id of the folder: two sources with one tree hold the same files, whatever their commits.
    """

    repository: str
    commit: str
    path: str
    tree: str

    def __str__(self) -> str:
        folder = "" if self.path == "." else f"{self.path} of "
        return f"{folder}commit {self.commit[:7]}"


def is_same(one: ManifestsSource | None, other: ManifestsSource | None) -> bool:
    """Whether both hold the same files; a record that names no source is like no other."""
    return one is not None and other is not None and one.tree == other.tree
