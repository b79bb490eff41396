"""The socket through which supervisord is asked: in the state folder, which is its owner's alone.

Where that path is too long for the kernel, it is in a private folder that a file in the state folder names.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from flows.services.process.files import OWNER_ALONE, write_private

NAME, NOTE = "supervisord.sock", "supervisord.socket-folder"

PATH_LIMIT = 100
"""Characters; the kernel takes 107, and supervisord adds some of its own while it binds."""


def create(state: Path) -> Path:
    """Where a new supervisord is to listen."""
    if len(str(state / NAME)) <= PATH_LIMIT:
        return state / NAME
    folder = Path(tempfile.mkdtemp(prefix="slipway-socket-", dir=os.environ.get("XDG_RUNTIME_DIR")))
    write_private(state / NOTE, str(folder))
    return folder / NAME


def find(state: Path) -> Path:
    """Where the platform's supervisord listens, if one runs.

    `FileNotFoundError` where the socket's folder is gone, or is not this user's alone.
    """
    folder = _named(state)
    if folder is None:
        return state / NAME
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise FileNotFoundError(f"{folder} was made by another user.")
    if stat.S_IMODE(found.st_mode) != OWNER_ALONE:
        raise FileNotFoundError(f"{folder} is open to other users.")
    return folder / NAME


def remove(state: Path) -> None:
    """Delete what `create` made; nothing happens where there is nothing."""
    (state / NAME).unlink(missing_ok=True)
    if (folder := _named(state)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        (state / NOTE).unlink()


def _named(state: Path) -> Path | None:
    try:
        return Path((state / NOTE).read_text())
    except FileNotFoundError:
        return None
