"""A real DNS server on loopback: Debian's dnsmasq, with the records of a test and no others."""

import contextlib
import getpass
import socket
import subprocess
import time
from collections.abc import Iterator

PATIENCE = 10


@contextlib.contextmanager
def dns_server(*options: str) -> Iterator[str]:
    """Its address and port; `options` are dnsmasq's, as `--host-record=app.slipway.test,127.0.0.1`."""
    port = _free_port()
    command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file", "--log-facility=-"]
    command += [
        "--no-resolv",
        "--no-hosts",
        "--local=/test/",
        f"--port={port}",
        f"--user={getpass.getuser()}",
    ]
    command += ["--listen-address=127.0.0.1", "--bind-interfaces", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            _wait_until_it_listens(process, port)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_until_it_listens(process: "subprocess.Popen[str]", port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):  # not yet
            socket.create_connection(("127.0.0.1", port)).close()  # DNS over TCP comes up with UDP
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"dnsmasq: {process.stderr and process.stderr.read()}")
        time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
