"""What belongs to one embedded platform, and how it is named.

Containers and the network carry the instance's name alone, so that a second checkout under the same name
replaces them; volumes also carry the checkout's, so that neither loses the other's data.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from flows.config.schema import Embedded


@dataclass(frozen=True)
class Instance:
    """One platform: its name, the checkout that runs it, its state folder and its loopback ports."""

    name: str
    checkout: Path
    state: Path
    ports: Embedded = field(hash=False)  # it holds a table

    @property
    def network(self) -> str:
        """The docker network that its containers share."""
        return self.name

    @property
    def labels(self) -> dict[str, str]:
        """On every container, volume, network and image of this platform."""
        return {"slipway.instance": self.name, "slipway.checkout": str(self.checkout)}

    def container(self, role: str) -> str:
        """The container of that role, such as registry, registry-pull, database, control-plane or worker."""
        return f"{self.name}-{role}"

    def volume(self, role: str) -> str:
        """The volume that holds what `role` must not lose."""
        checkout = hashlib.sha256(str(self.checkout).encode()).hexdigest()[:8]
        return f"{self.name}-{checkout}-{role}"
