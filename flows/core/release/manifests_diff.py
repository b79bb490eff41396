"""What changes in an environment's Kubernetes objects, as a diff that a person reads."""

import hashlib
import json
from collections.abc import Iterable
from difflib import unified_diff
from typing import Any

import yaml

from flows.core.build.image import Image
from flows.core.release.record import Object, identity

SHOWN = 200
"""Lines of a diff that are shown; the rest is counted."""

OURS = "slipway.dev/"
"""Annotations that say which release it is: they differ each time."""


def diff(before: Iterable[Object], of: Image | None, after: Iterable[Object], by: Image) -> list[str]:
    """The lines of a unified diff, without the image and without values of Secrets; or []."""
    old, new = _texts(before, of), _texts(after, by)
    lines: list[str] = []
    for name in sorted(old | new):
        one, other = old.get(name, []), new.get(name, [])
        lines += unified_diff(one, other, f"live/{name}", f"new/{name}", lineterm="")
    if len(lines) > SHOWN:
        return [*lines[:SHOWN], f"… and {len(lines) - SHOWN} more lines"]
    return lines


def _texts(objects: Iterable[Object], image: Image | None) -> dict[str, list[str]]:
    return {"/".join(part for part in identity(o) if part): _lines(o, image) for o in objects}


def _lines(item: Object, image: Image | None) -> list[str]:
    plain: dict[str, Any] = json.loads(json.dumps(item))
    annotations = plain["metadata"].get("annotations") or {}
    kept = {key: value for key, value in annotations.items() if not key.startswith(OURS)}
    plain["metadata"]["annotations"] = kept
    if not kept:
        del plain["metadata"]["annotations"]
    if plain["kind"] == "Secret":
        for field in {"data", "stringData"} & plain.keys():
            plain[field] = {key: _hashed(value) for key, value in plain[field].items()}
    text = yaml.safe_dump(plain, sort_keys=True, allow_unicode=True)
    return (text.replace(str(image), "the released image") if image else text).splitlines()


def _hashed(value: object) -> str:
    return f"(secret, {hashlib.sha256(str(value).encode()).hexdigest()[:8]})"
