"""A network in which no address changes.

Chromium ends all its requests when an address of the machine changes (ERR_NETWORK_CHANGED), as those of
docker's networks do while other tests run. A page that lacks one of its scripts then stays empty.
"""

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.stand_ins.load_balancer import LoadBalancer

NEW_NETWORK = 0x40000000
"""Flag of unshare(2) and setns(2)."""

OWN = "/proc/thread-self/ns/net"


class StillNetwork:
    """A network namespace of its own, whose ports on 127.0.0.1 lead to the machine's of the same number."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._open = ExitStack()
        self._machine = self._namespace()
        if self._libc.unshare(NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "only root can make a network namespace")
        self._still = self._namespace()
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            listeners = [socket.create_server(("127.0.0.1", port)) for port in ports]
        finally:
            self._enter(self._machine)
        for port, listener in zip(ports, listeners, strict=True):
            self._open.callback(LoadBalancer(port, listener=listener).close)

    def close(self) -> None:
        self._open.close()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Processes that this thread starts meanwhile are in it, and so are those that they start."""
        self._enter(self._still)
        try:
            yield
        finally:
            self._enter(self._machine)

    def _namespace(self) -> int:
        found = os.open(OWN, os.O_RDONLY)
        self._open.callback(os.close, found)
        return found

    def _enter(self, namespace: int) -> None:
        if self._libc.setns(namespace, NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "the network namespace can't be entered")


@contextmanager
def still_network(ports: Sequence[int]) -> Iterator[StillNetwork]:
    network = StillNetwork(ports)
    try:
        yield network
    finally:
        network.close()
