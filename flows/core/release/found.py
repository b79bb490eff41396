"""Objects that a release finds in its place and that are not of the release before. An undo restores them."""

from collections.abc import Iterable, Mapping
from typing import Any

from flows.core.release.record import Identity, Object, Record, identity

OF_THE_SERVER = {
    *("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"),
    "ownerReferences",  # what owns it may be gone by then, and would have it deleted
}
OF_CONTROLLERS = ("deployment.kubernetes.io/", "slipway.dev/fence")


def to_look_for(objects: Iterable[Object], live: Record | None) -> list[Object]:
    """Those of the objects that the live release lacks: if they exist, another writer made them."""
    ours = {identity(item) for item in live.objects} if live else set()
    return [item for item in objects if identity(item) not in ours]


def found(objects: Iterable[Object], live: Record | None, there: Iterable[Object]) -> tuple[Object, ...]:
    """What an undo of a release of these objects restores: `there`, and what the live release found."""
    wanted = {identity(item) for item in objects}
    carried = [item for item in (live.before if live else ()) if identity(item) in wanted]
    return (*carried, *(as_found(item) for item in there))


def as_found(item: Object) -> dict[str, Any]:
    """The object without what the server and controllers fill in, so that it can be applied again."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in OF_THE_SERVER}
    notes: Mapping[str, str] = metadata.pop("annotations", None) or {}
    kept = {key: value for key, value in notes.items() if not key.startswith(OF_CONTROLLERS)}
    metadata |= {"annotations": kept} if kept else {}
    content = {key: value for key, value in item.items() if key not in {"metadata", "status"}}
    return {**content, "metadata": metadata}


def created(by: Record, over: Record | None) -> tuple[Object, ...]:
    """The objects that the release `by` made and the release `over` lacks: an undo deletes them."""
    kept = {identity(item) for item in (*(over.objects if over else ()), *by.before)}
    return tuple(item for item in by.objects if identity(item) not in kept)


def given_back(by: Record, over: Record | None) -> tuple[Object, ...]:
    """The objects that the release `by` found and the release `over` lacks: an undo restores them."""
    kept: set[Identity] = {identity(item) for item in over.objects} if over else set()
    return tuple(item for item in by.before if identity(item) not in kept)
