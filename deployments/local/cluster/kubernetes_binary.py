"""All of Kubernetes as one program, compiled from its published modules once per machine.

No package holds these programs, and an image of them would need a registry that can be reached.
"""

import hashlib
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deployments.local.cluster import go_toolchain
from deployments.local.docker import pause_image
from deployments.local.progress import Say
from flows.core.errors import CommandFailed, PlatformFailed
from flows.services.process.command import Command, run
from flows.services.process.temporary import sweep, temporary_folder

MODULE = Path(__file__).parent / "kubernetes"
SOURCES = ("go.mod", "go.sum", "main.go", "pause/main.go")
BUILD_TIMEOUT = 3600.0
REPORT_INTERVAL = 15.0
"""Seconds between two reports on a step that takes minutes."""


def ensure(say: Say) -> Path:
    """The program `kube`; beside it lie the link `kubectl` and the pods' sandbox image `pause.tar`.

    Compiled unless it lies in the user's cache already: six minutes on two cores. `PlatformFailed` carries
    the compiler's last lines.
    """
    folder = cache_folder() / f"kubernetes-{key()}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        with _turn(folder.with_suffix(".lock"), say):
            if not folder.exists():
                _build(folder, say)
    return folder / "kube"


def kubectl(binary: Path) -> Path:
    """The kubectl of that build."""
    return binary.with_name("kubectl")


def cache_folder() -> Path:
    """Where this user's machine-wide leftovers live: XDG_CACHE_HOME/slipway, or ~/.cache/slipway."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway"


def key(module: Path = MODULE) -> str:
    """Names a build: other sources, flags or machine, other key."""
    hashed = hashlib.sha256(f"{platform.machine()} {_linker_flags(module)} {pause_image.NAME}".encode())
    for name in SOURCES:
        hashed.update(hashlib.sha256((module / name).read_bytes()).digest())
    return hashed.hexdigest()[:16]


def kubernetes_version(module: Path = MODULE) -> str:
    """Of the Kubernetes that is built, such as 1.34.4."""
    return _in_go_mod(module, r"k8s\.io/kubernetes v(\S+)")


@contextmanager
def _turn(lock: Path, say: Say) -> Iterator[None]:
    """One build at a time, also between processes."""
    try:
        held = FileLock(lock).acquire(blocking=False)
    except Timeout:
        say("another run is compiling Kubernetes: waiting for it")
        held = FileLock(lock).acquire()
    with held:
        yield


def _build(folder: Path, say: Say) -> None:
    required = tuple(map(int, _in_go_mod(MODULE, r"^go (\S+)").split(".")))
    go = go_toolchain.ensure(required, MODULE / "toolchain.txt", cache_folder(), say)
    say(
        f"compiling Kubernetes {kubernetes_version()} from its modules, as it comes in no package: "
        "about six minutes on two cores, once per machine"
    )
    sweep(folder.parent)
    with temporary_folder(folder.name, folder.parent) as beside:
        built = beside / folder.name
        _compile(go, built, say)
        (built / "pause.tar").write_bytes(pause_image.archive((built / "pause").read_bytes()))
        (built / "kubectl").symlink_to("kube")
        built.rename(folder)


def _compile(go: Path, target: Path, say: Say) -> None:
    downloads = _Progress(say, "modules downloaded, 0.7 GB in all", counts="go: downloading ")
    packages = _go(go, ("list", "-deps", "./..."), downloads)
    compiled = _Progress(say, f"of {len(packages.splitlines())} packages compiled")
    _go(go, ("build", "-v", "-ldflags", _linker_flags(MODULE), "-o", f"{target}/kube", "."), compiled)
    _go(go, ("build", "-ldflags", "-s -w", "-o", f"{target}/pause", "./pause"), compiled)


def _go(go: Path, arguments: tuple[str, ...], progress: Say) -> str:
    command = Command((str(go), *arguments), BUILD_TIMEOUT, go_toolchain.ENVIRONMENT, folder=MODULE)
    try:
        return run(command, say=progress)
    except CommandFailed as failure:
        raise PlatformFailed("Kubernetes can't be compiled.", failure.remedy) from failure


class _Progress:
    """Counts lines, and reports how many there were now and then."""

    def __init__(self, say: Say, what: str, counts: str = "") -> None:
        self._say, self._what, self._counts = say, what, counts
        self._count = 0
        self._reported = time.monotonic()

    def __call__(self, line: str) -> None:
        self._count += line.startswith(self._counts)
        if time.monotonic() - self._reported > REPORT_INTERVAL:
            self._reported = time.monotonic()
            self._say(f"{self._count} {self._what}")


def _linker_flags(module: Path) -> str:
    """Without symbols, and with the version that `kubectl version` and the API server report."""
    version = kubernetes_version(module)
    major, minor, _patch = version.split(".")
    stamps = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in stamps.items())


def _in_go_mod(module: Path, pattern: str) -> str:
    found = re.search(pattern, (module / "go.mod").read_text(), re.MULTILINE)
    assert found, f"go.mod has {pattern}"
    return found[1]
