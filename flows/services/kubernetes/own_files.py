"""What a release renders is in its manifests' folder alone: no link and no kustomization leads out of it."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from flows.core.errors import ManifestsRejected
from flows.core.text import quoted

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")

PLUGINS = frozenset({"generators", "transformers", "validators"})
"""Keys whose values may be the configuration itself, instead of a file."""

LOADED = PLUGINS | {
    *("resources", "bases", "components", "crds", "configurations", "patchesstrategicmerge"),
    *("path", "paths", "files", "env", "envs", "valuesfile", "additionalvaluesfiles", "targetfilepath"),
    *("repo", "chartrepo", "chartrepourl"),
}
"""Keys whose values kustomize loads, in kustomizations and in the configuration of its own plugins (its
api/types and api/internal/builtins). Their case does not count."""

COPIED = frozenset({"annotations", "commonannotations", "commonlabels", "labels", "metadata", "target"})
"""Keys whose values it copies or compares, whatever they are."""

REMOTE = re.compile(
    r"[a-z][a-z0-9+.-]*://|https?:|[a-z0-9]+::|gh:|github\.com[/:]|[a-z0-9._-]+@[^/]*[/:]", re.IGNORECASE
)
"""How an entry begins that kustomize downloads or clones (its api/internal/loader and api/internal/git)."""

SIGN_IN = re.compile(r"//[^/@]*@")


def require_own_files(folder: Path, overlay: Path, origin: str) -> None:
    """`ManifestsRejected` if kustomize would load files from outside of `folder` to render `overlay`.

    They are not in the commit: on another day or machine, they would be other files than those that were
    verified and approved. `origin` names the folder in messages.
    """
    root = _real(folder)
    _refuse_links(folder, root, origin)
    left, seen = [_real(overlay)], set[Path]()
    while left:
        path = left.pop()
        if path in seen:
            continue
        seen.add(path)
        for file in _files(path):
            for key, entry in _entries(_documents(file)):
                named = _real(file.parent / entry)
                if REMOTE.match(entry) or not named.is_relative_to(root):
                    raise _leads_out(f"{file.relative_to(root)} in {origin}", key, entry)
                left.append(named)


def _refuse_links(folder: Path, root: Path, origin: str) -> None:
    for path in folder.rglob("*"):
        if path.is_symlink() and not _real(path).is_relative_to(root):
            raise ManifestsRejected(
                f"{path.relative_to(folder)} in {origin} is a link that leads out of the folder.",
                "Commit the files that it leads to, in its place.",
            )


def _leads_out(where: str, key: str, entry: str) -> ManifestsRejected:
    shown = quoted(SIGN_IN.sub("//", entry))
    return ManifestsRejected(
        f"{where} loads {shown} (`{key}`) from outside of the folder.",
        "Copy what it loads into the folder, name the copy there, and commit both.",
    )


def _real(path: Path) -> Path:
    """The path without links; also where they lead in a circle, or to nothing."""
    return Path(os.path.realpath(path))


def _files(path: Path) -> Iterator[Path]:
    """The kustomization of a folder; a file itself."""
    if os.path.isdir(path):  # noqa: PTH112 - False also for what is no path at all, such as a patch
        yield from (file for name in KUSTOMIZATIONS if (file := path / name).is_file())
    elif os.path.isfile(path):  # noqa: PTH113 - as above
        yield path


def _documents(file: Path) -> list[object]:
    """A kustomization; of another file, the configurations of kustomize's own plugins."""
    content, is_kustomization = file.read_bytes(), file.name in KUSTOMIZATIONS
    if not is_kustomization and b"builtin" not in content:
        return []
    return [one for one in _parsed(content) if is_kustomization or _is_plugin(one)]


def _parsed(content: bytes | str) -> list[object]:
    """All values as text; none of them where kustomize will say what is wrong."""
    try:
        return list(yaml.load_all(content, yaml.BaseLoader))
    except yaml.YAMLError:
        return []


def _is_plugin(document: object) -> bool:
    return isinstance(document, Mapping) and document.get("apiVersion") == "builtin"


def _entries(content: object, key: str = "") -> Iterator[tuple[str, str]]:
    """What kustomize loads, after the key that it is named at."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            folded = str(name).casefold()
            if folded not in COPIED:
                yield from _entries(value, str(name) if folded in LOADED else "")
    elif isinstance(content, list):
        for item in content:
            yield from _entries(item, key)
    elif isinstance(content, str) and key:
        yield from _named(content, key)


def _named(text: str, key: str) -> Iterable[tuple[str, str]]:
    is_inline = "\n" in text or text.lstrip().startswith("{")
    if is_inline:  # a patch or a plugin's configuration, in place of a file
        return _entries(_parsed(text)) if key.casefold() in PLUGINS else ()
    return [(key, text.rpartition("=")[2] if key.casefold() == "files" else text)]
