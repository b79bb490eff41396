"""What a container of a team's code may do on the worker's machine: what the cluster lets it, and no more."""

from dataclasses import dataclass
from typing import Any

from docker.types import Mount

USER = "10001:10001"
PROCESSES = 512
CPUS = 2
PERIOD = 100_000
"""Microseconds, the kernel's own."""

MEMORY = 4096
"""Megabytes; as a setting, `[app.tests] memory`."""


@dataclass(frozen=True)
class Sandbox:
    """`writable`: folders that are the container's own beside /tmp; `network`: whether it has one.

    `memory` is in megabytes, for all of its processes.
    """

    writable: tuple[str, ...] = ()
    network: bool = False
    memory: int = MEMORY

    def options(self) -> dict[str, Any]:
        """Those of docker's SDK for `containers.run`."""
        alone = {} if self.network else {"network_mode": "none"}
        return {
            "user": USER,
            "read_only": True,
            "tmpfs": {"/tmp": ""},  # noqa: S108  # in the container
            "mounts": [Mount(folder, None) for folder in self.writable],
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "mem_limit": f"{self.memory}m",
            "memswap_limit": f"{self.memory}m",
            "pids_limit": PROCESSES,
            # docker refuses `nano_cpus` beyond what the machine has
            "cpu_period": PERIOD,
            "cpu_quota": CPUS * PERIOD,
            **alone,
        }
