"""A part of the control plane that hangs."""

from collections.abc import Iterator
from contextlib import contextmanager

from deployments.local.docker.engine import connect
from deployments.local.instance import Instance


@contextmanager
def frozen(instance: Instance, component: str) -> Iterator[None]:
    """A component of the control plane stands still until the block ends."""
    control_plane = connect().containers.get(instance.container("control-plane"))

    def send(signal: str) -> None:
        each = "for p in /proc/[0-9]*; do"
        found = f"grep -qa '[{component[0]}]{component[1:]}' $p/cmdline 2>/dev/null"
        script = f'{each} {found} && kill -{signal} "${{p#/proc/}}"; done; true'
        assert control_plane.exec_run(["bash", "-c", script]).exit_code == 0

    send("STOP")
    try:
        yield
    finally:
        send("CONT")
