"""A real OpenSSH server on loopback with a host key of its own, which lets deploy keys run git alone."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from deployments.local.cluster.kubernetes_binary import cache_folder

SYSTEM = "/usr/sbin:/usr/local/sbin:/usr/bin"
UNPACKED = cache_folder() / "ssh-server"
"""Where deployments/local/bootstrap --tests puts Debian's, which is not installed."""

CONFIGURATION = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
PermitRootLogin yes
"""

AS_ROOT = """\
mount --bind "$1/passwd" /etc/passwd && mount -t tmpfs none /run && mkdir -p /run/sshd && shift && exec "$@"
"""
"""As root, sshd wants a user of its name and an empty folder: it alone sees those that are made here."""


@dataclass(frozen=True)
class SshServer:
    """Where it listens; `folder` holds its key and those of its users."""

    folder: Path
    port: int

    def url(self, path: Path) -> str:
        """Of the repository in that folder."""
        return f"ssh://{getuser()}@127.0.0.1:{self.port}{path}"

    def known_as(self, key: str = "host") -> str:
        """The line of known_hosts that gives the server that key."""
        kind, value, *_ = (self.folder / f"{key}.pub").read_text().split()
        return f"[127.0.0.1]:{self.port} {kind} {value}"

    def new_key(self, name: str, passphrase: str = "") -> str:
        """A private key, which the server does not know."""
        file = self.folder / name
        new = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(file)]
        subprocess.run(new, check=True)
        return file.read_text()

    def authorize(self, name: str) -> None:
        """Let that key read repositories."""
        forced = 'restrict,command="git-shell -c \\"$SSH_ORIGINAL_COMMAND\\"" '
        with (self.folder / "authorized").open("a") as file:
            file.write(forced + (self.folder / f"{name}.pub").read_text())


def program() -> tuple[str, dict[str, str]] | None:
    """sshd, and the variables that it needs; None where this machine has none."""
    if found := shutil.which("sshd", path=SYSTEM):
        return found, {}
    if not (unpacked := UNPACKED / "usr/sbin/sshd").exists():
        return None
    libraries = sorted({str(file.parent) for file in UNPACKED.rglob("lib*.so.*")})
    return str(unpacked), {"LD_LIBRARY_PATH": ":".join(libraries)}


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """One that runs until the end, with its files in the folder."""
    found = program()
    assert found is not None
    sshd, variables = found
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = SshServer(folder, free.getsockname()[1])
    server.new_key("host")
    (folder / "authorized").touch()
    (folder / "configuration").write_text(CONFIGURATION.format(port=server.port, folder=folder))
    command = [sshd, "-D", "-e", "-f", str(folder / "configuration")]
    if os.geteuid() == 0:
        own = "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
        (folder / "passwd").write_text(Path("/etc/passwd").read_text() + own)
        command = ["unshare", "--mount", "sh", "-c", AS_ROOT, "sh", str(folder), *command]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **variables}, stderr=log)
    try:
        _await(server.port, process)
        yield server
    finally:
        process.terminate()
        process.wait()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("sshd ended at once")
