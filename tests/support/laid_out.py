"""What a commit is laid out as."""

from pathlib import Path

from flows.services.git.repository import Repository
from flows.services.process.command import silent


def lay_out(repository: Repository, sha: str, paths: tuple[str, ...], folder: Path) -> Path:
    """Fetch, and write those paths of the commit to the folder, which is returned."""
    repository.fetch(silent)
    commit = repository.resolve(sha, "main")
    repository.lay_out(repository.files(sha, paths), folder, commit.time)
    return folder


def contents(folder: Path) -> dict[str, bytes | str]:
    """Of every file below; of a link, where it leads."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }
