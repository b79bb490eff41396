"""Values that were valid before one to three things in them were changed."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]

ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**30, 1e308, "", " ", "\x00", "\u202e", "a\nb", "--all", "../../etc/passwd"),
    *(
        [],
        {},
        [[]],
        {"": {}},
        "sha256:",
        "sha256:" + "0" * 64,
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ),
    *("2026-13-45T99:99:99Z", "2026-01-01T00:00:00", "latest.json", "a" * 100_000, [None] * 1000, "\ud800"),
]
"""What programs trip over."""

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
changes = (st.sampled_from(ODD) | values).map(copy.deepcopy)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where each value is, the outermost first."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, valid: Any) -> Any:
    """The value after one to three changes: one is another, is gone, is there twice, or is new."""
    found = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 3))):
        paths = list(places(found))
        *above, last = draw(st.sampled_from(paths)) or (None,)
        if last is None:
            found = draw(changes)
            continue
        parent = found
        for key in above:
            parent = parent[key]
        _change(draw, parent, last)
    return found


def _change(draw: st.DrawFn, parent: Any, key: str | int) -> None:
    match draw(st.sampled_from(["replace", "replace", "replace", "drop", "twice", "rename", "add"])):
        case "replace":
            parent[key] = draw(changes)
        case "drop":
            del parent[key]
        case "twice" if isinstance(parent, list):
            parent.append(parent[int(key)])
        case "add" if isinstance(parent, dict):
            parent[draw(st.text(max_size=10))] = draw(changes)
        case _ if isinstance(parent, dict):
            parent[draw(st.text(max_size=10))] = parent.pop(key)


@st.composite
def mutated_text(draw: st.DrawFn, valid: Any) -> bytes:
    """The same as JSON, of which one in four has some bytes changed as well."""
    content = json.dumps(draw(mutated(valid))).encode()
    if draw(st.integers(0, 3)):
        return content
    at = draw(st.integers(0, len(content)))
    return content[:at] + draw(st.binary(max_size=4)) + content[at + draw(st.integers(0, 4)) :]
