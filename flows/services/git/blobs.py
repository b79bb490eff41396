"""Files of a commit as git keeps them, byte for byte: no attribute, filter or user's configuration counts."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, BinaryIO

from flows.core.build.capsule import ContextFile
from flows.core.errors import CommandFailed, PermanentError
from flows.services.process import cancellation

EXECUTABLE, LINK, SUBMODULE = "100755", "120000", "160000"
"""Modes of git's trees; all others are plain files."""

LFS = b"version https://git-lfs.github.com/spec/v1\n"
"""How a pointer of Git LFS begins (its specification, "The Pointer")."""

CHUNK = 1 << 20
LARGEST = 4 << 30
"""Bytes of all files that are written: a few kilobytes of a pack unpack to any number."""

LONGEST_LINK = 4096


def refuse_submodules(files: Iterable[ContextFile]) -> None:
    """`PermanentError` names the first file that is a commit of another repository."""
    for file in files:
        if file.mode == SUBMODULE:
            raise PermanentError(
                f"{file.path!r} in the build context is a submodule, whose files the commit does not hold.",
                "Commit its files, or take it out of `context` under [app] in slipway.toml.",
            )


@dataclass(frozen=True)
class Blobs:
    """The objects of a repository; `timeout` is in seconds, for all that one call reads."""

    repository: Path
    timeout: float

    def write(self, files: Sequence[ContextFile], folder: Path, time: float) -> None:
        """Write the files into `folder`, empty or not there yet, all with that time (Unix seconds).

        `PermanentError` for a pointer of Git LFS, and for a tree that no git would make: a name twice, or one
        that leads out of the folder; and where the files have more than `LARGEST` bytes.
        """
        folder.mkdir(parents=True, exist_ok=True)
        left = LARGEST
        with self._contents(file.blob for file in files) as contents:
            for file, content in zip(files, contents, strict=True):
                left -= content.size
                if left < 0:
                    raise PermanentError(
                        f"The build context has more than {LARGEST} bytes; {file.path!r} alone has "
                        f"{content.size}.",
                        "Take what the image does not need out of `context` under [app] in slipway.toml.",
                    )
                with _parent(folder, file.path) as (parent, name):
                    _write(content, file, parent, name)
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (time, time), follow_symlinks=False)

    @contextmanager
    def _contents(self, blobs: Iterable[str]) -> Iterator[Iterator["_Content"]]:
        """The content of each, to be read in this order."""
        process = subprocess.Popen(
            ("git", "cat-file", "--batch"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.repository,
            env={**os.environ, "LC_ALL": "C", "GIT_CEILING_DIRECTORIES": str(self.repository.parent)},
            start_new_session=True,
        )
        assert process.stdin
        assert process.stdout
        late = Timer(self.timeout, cancellation.end, [process])
        with cancellation.current().running(process), closing(process.stdin), closing(process.stdout):
            late.start()
            try:
                yield _asked(process.stdin, process.stdout, blobs)
            finally:
                late.cancel()


@dataclass
class _Content:
    """Of a blob: its size in bytes, and what of it was not read yet."""

    stream: BinaryIO
    size: int
    left: int

    def read(self, count: int) -> bytes:
        """Up to so many bytes; none at its end."""
        chunk = self.stream.read(min(count, self.left))
        self.left -= len(chunk)
        if not chunk and self.left:
            raise _broken_off()
        return chunk


def _asked(question: IO[bytes], answer: IO[bytes], blobs: Iterable[str]) -> Iterator[_Content]:
    """Format of `git cat-file --batch`: `<id> SP <type> SP <size> LF <content> LF`, or `<id> missing LF`."""
    for blob in blobs:
        try:
            question.write(f"{blob}\n".encode())
            question.flush()
        except BrokenPipeError as error:
            raise _broken_off() from error
        head = answer.readline().split()
        if len(head) != 3 or head[1] != b"blob":
            raise _broken_off(f"{blob}: {b' '.join(head).decode(errors='replace')}")
        content = _Content(answer, int(head[2]), int(head[2]))  # type: ignore[arg-type]  # buffered and binary
        yield content
        while content.read(CHUNK):
            pass
        answer.read(1)


def _write(content: _Content, file: ContextFile, parent: int, name: str) -> None:
    if file.mode == LINK:
        if content.size > LONGEST_LINK:
            raise _malformed(file.path)
        try:
            os.symlink(content.read(content.size), name, dir_fd=parent)
        except (FileExistsError, ValueError) as error:
            raise _malformed(file.path) from error
        return
    first = content.read(CHUNK)
    if first.startswith(LFS):
        raise PermanentError(
            f"{file.path!r} in the build context is a pointer of Git LFS; the repository lacks its content.",
            "Commit the file itself, publish it as a model, or take it out of `context` under [app].",
        )
    mode = 0o755 if file.mode == EXECUTABLE else 0o644
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=parent)
    except FileExistsError as error:
        raise _malformed(file.path) from error
    with os.fdopen(descriptor, "wb") as target:
        os.fchmod(descriptor, mode)  # whatever the umask is
        while first:
            target.write(first)
            first = content.read(CHUNK)


@contextmanager
def _parent(folder: Path, path: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder that the path is in, made where it is missing, and the path's last part."""
    *above, name = path.split("/")
    if any(part in {"", ".", ".."} or part.lower() == ".git" for part in (*above, name)):
        raise _malformed(path)
    parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in above:
            parent = _below(parent, part, path)
        yield parent, name
    finally:
        os.close(parent)


def _below(parent: int, name: str, path: str) -> int:
    """The folder of that name there, opened in place of `parent`; never through a link."""
    try:
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            made = False
        else:
            made = True
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        raise _malformed(path) from error
    if made:
        os.fchmod(descriptor, 0o755)
    os.close(parent)
    return descriptor


def _malformed(path: str) -> PermanentError:
    return PermanentError(
        f"The commit's tree is malformed at {path!r}: git makes no such tree, and nothing of it is built.",
        "Find out who pushed it, and push a commit that `git fsck` accepts.",
    )


def _broken_off(answered: str = "") -> CommandFailed:
    return CommandFailed("git cat-file broke off.", details=answered, status=-1, timed_out=False)
