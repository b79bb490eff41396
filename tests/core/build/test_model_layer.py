"""The model's layer, read back by a tar reader that is not ours."""

import io
import tarfile

import pytest

from flows.core.build.model_layer import OCTAL_SIZE, layout, length

FILES = {"model.onnx": b"w" * 1000, "manifest.json": b"{}"}


def written(path: str, files: dict[str, bytes]) -> bytes:
    parts = layout(path, {name: len(content) for name, content in files.items()})
    layer = b"".join(part.header + files.get(part.file, b"") + bytes(part.padding) for part in parts)
    assert len(layer) == length(parts)
    return layer


def test_it_holds_the_files_as_roots_which_every_user_may_read_and_without_a_time() -> None:
    with tarfile.open(fileobj=io.BytesIO(written("/srv/model", FILES))) as tar:
        entries = tar.getmembers()
        contents = {one.name: tar.extractfile(one).read() for one in entries if one.size}  # type: ignore[union-attr]
    assert [(one.name, one.mode, one.isdir()) for one in entries] == [
        ("srv", 0o755, True),
        ("srv/model", 0o755, True),
        ("srv/model/.wh..wh..opq", 0o644, False),
        ("srv/model/manifest.json", 0o644, False),
        ("srv/model/model.onnx", 0o644, False),
    ]
    assert {(one.uid, one.gid, one.mtime) for one in entries} == {(0, 0, 0)}
    assert contents == {f"srv/model/{name}": content for name, content in FILES.items()}


def test_the_order_of_files_does_not_matter() -> None:
    assert written("/model", FILES) == written("/model", dict(reversed(FILES.items())))


@pytest.mark.parametrize("size", [OCTAL_SIZE - 1, OCTAL_SIZE, 2**40])
def test_the_largest_models_have_their_size_in_the_header(size: int) -> None:
    (part,) = [part for part in layout("/model", {"model.onnx": size}) if part.file]
    assert tarfile.TarInfo.frombuf(part.header, "utf-8", "strict").size == size
    assert (size + part.padding) % 512 == 0
