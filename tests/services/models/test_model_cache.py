"""The cache on this machine keeps only what is complete and right."""

import hashlib
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.core.model.model import Model
from flows.services.models.model_cache import ModelCache


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


MODEL = Model("tiny", "1.0.0", digest(b"weights"), digest(b"{}"), 7)


def receive(cache: ModelCache) -> Path:
    with cache.receiving() as folder:
        (folder / "model.onnx").write_bytes(b"weights")
        (folder / "manifest.json").write_bytes(b"{}")
        return cache.keep(folder, MODEL)


def test_an_entry_is_found_by_both_its_digests(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    assert cache.find(MODEL) is None
    entry = receive(cache)
    assert cache.find(MODEL) == entry
    assert cache.find(Model("tiny", "1.0.0", MODEL.digest, digest(b"other"), 7)) is None


@pytest.mark.parametrize("file", ["model.onnx", "manifest.json"])
def test_an_entry_that_lost_a_file_or_was_changed_is_deleted(tmp_path: Path, file: str) -> None:
    cache = ModelCache(tmp_path / "cache")
    (receive(cache) / file).write_bytes(b"damage!")
    assert cache.find(MODEL) is None
    (receive(cache) / file).unlink()
    assert cache.find(MODEL) is None
    assert list(cache.folder.iterdir()) == []


def test_who_comes_second_gets_the_entry_of_who_came_first(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    first = receive(cache)
    written = (first / "model.onnx").stat().st_ino
    assert receive(cache) == first
    assert (first / "model.onnx").stat().st_ino == written


def test_what_is_not_kept_is_deleted(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    with cache.receiving() as folder:
        (folder / "model.onnx").write_bytes(b"half")
    assert list(cache.folder.iterdir()) == []


def test_what_a_killed_process_left_is_deleted_after_a_day_and_not_before(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    yesterday, today = (cache.folder / name for name in (".receiving-yesterday", ".receiving-today"))
    yesterday.mkdir(parents=True)
    today.mkdir()
    os.utime(yesterday, (0, time.time() - 25 * 3600))

    receive(cache)

    assert not yesterday.exists()
    assert today.exists()


def test_a_model_is_unused_since_it_was_last_asked_for(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    entry = receive(cache)
    cache.note("a file", b"its digest")
    long_ago = datetime.now(UTC) - timedelta(days=30)
    os.utime(entry, (long_ago.timestamp(), long_ago.timestamp()))
    assert cache.unused_since(long_ago + timedelta(days=1)) == [entry]
    cache.find(MODEL)
    assert cache.unused_since(long_ago + timedelta(days=1)) == []


def test_of_too_much_those_go_that_were_used_least_recently_and_are_not_in_use(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    now = datetime.now(UTC)
    entries = []
    for hours in (4, 3, 2, 1):
        entries.append(cache.folder / f"model{hours}-manifest")
        entries[-1].mkdir(parents=True)
        (entries[-1] / "model.onnx").write_bytes(b"w" * 100)
        os.utime(entries[-1], times=((now - timedelta(hours=hours)).timestamp(),) * 2)
    oldest, older, newer, newest = entries
    assert cache.beyond(400, now) == []
    assert cache.beyond(399, now) == [oldest]
    assert cache.beyond(200, now) == [older, oldest]
    assert cache.beyond(0, now - timedelta(hours=2, minutes=30)) == [older, oldest]
    assert cache.beyond(0, now) == [newest, newer, older, oldest]


def test_a_note_goes_that_is_read_no_more(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache")
    for key in ("read", "forgotten"):
        cache.note(key, key.encode())
    for note in cache.folder.iterdir():
        os.utime(note, times=(0, 0))
    assert cache.noted("read") == b"read"
    (unused,) = cache.notes_unused_since(datetime.now(UTC) - timedelta(days=1))
    assert unused.read_bytes() == b"forgotten"
