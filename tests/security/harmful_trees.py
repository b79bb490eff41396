"""Trees that would lead out of their folder, or into git's own."""

import subprocess

from tests.support.origin import Origin

WAYS = ("a link and a folder of one name", "dots", "git's own folder", "a name twice")


def harmful(origin: Origin, way: str) -> str:
    """A commit with such a tree: its SHA."""
    origin.commit("a", "harm")
    file = origin.git("rev-parse", "HEAD:a")
    (origin.folder / "outside").write_text("../../outside")
    link = origin.git("hash-object", "-w", "outside")
    inner = _tree(origin, ("100644", "pwned", file))
    app = {
        "a link and a folder of one name": (("120000", "lib", link), ("40000", "lib", inner)),
        "dots": (("40000", "..", inner),),
        "git's own folder": (("40000", ".GIT", inner),),
        "a name twice": (("100644", "a", file), ("100644", "a", file)),
    }[way]
    top = _tree(origin, ("40000", "app", _tree(origin, *app)))
    sha = origin.git("commit-tree", "-m", "harm", top)
    origin.git("update-ref", "refs/heads/harm", sha)
    return sha


def _tree(origin: Origin, *entries: tuple[str, str, str]) -> str:
    """A tree of these modes, names and ids, which no check of git has seen."""
    content = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(sha) for mode, name, sha in entries)
    command = ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"]
    done = subprocess.run(command, cwd=origin.folder, input=content, check=True, capture_output=True)
    return done.stdout.decode().strip()
