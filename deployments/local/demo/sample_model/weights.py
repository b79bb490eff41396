"""Reads a state dict in torch's legacy format, without torch and without trusting the file.

The format (torch before 1.6): three pickles of format data, the state dict as a pickle whose tensors name
their storages by key, a pickled list of those keys, then for each key an int64 count and the raw values.
"""

import collections
import pickle
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

Array = NDArray[Any]

STORAGES: dict[str, Any] = {"FloatStorage": np.float32, "LongStorage": np.int64}


class _View(NamedTuple):
    """What a pickled tensor is: a strided window on a storage."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StateDictUnpickler(pickle.Unpickler):
    """Builds views and ordered dicts. A pickle can call any function it names: all others are refused."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, tuple[Any, int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _View(storage, offset, shape, strides)
        if module == "torch" and name in STORAGES:
            return name
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a state dict")

    def persistent_load(self, pid: Any) -> str:
        _, kind, key, _, count, _ = pid
        self.storages[key] = (STORAGES[kind], count)
        return str(key)


def read(path: Path) -> dict[str, Array]:
    """The arrays of a state dict by name; `pickle.UnpicklingError` when it holds anything but tensors."""
    with path.open("rb") as file:
        for _format_datum in range(3):
            _StateDictUnpickler(file).load()
        unpickler = _StateDictUnpickler(file)
        views = unpickler.load()
        keys = _StateDictUnpickler(file).load()
        storages = {key: _read_storage(file, *unpickler.storages[key]) for key in keys}
    return {name: _array(storages[view.storage], view) for name, view in views.items()}


def _read_storage(file: BinaryIO, kind: Any, expected: int) -> Array:
    count = int.from_bytes(file.read(8), "little")
    values: Array = np.fromfile(file, kind, count)
    if not count == expected == len(values):
        raise pickle.UnpicklingError(f"a storage of {expected} values holds {len(values)}")
    return values


def _array(storage: Array, view: _View) -> Array:
    if view.offset + sum((n - 1) * step for n, step in zip(view.shape, view.strides, strict=True)) >= len(
        storage
    ):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    strides = [step * storage.itemsize for step in view.strides]
    return as_strided(storage[view.offset :], view.shape, strides).copy()
