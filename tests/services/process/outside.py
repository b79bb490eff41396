"""A network whose only settings out is a proxy that wants a login."""

from dataclasses import dataclass
from pathlib import Path

from flows.services.process.network import NetworkSettings, set_in_this_process
from flows.services.process.tls import authorities
from tests.stand_ins.company_proxy import CompanyProxy


@dataclass
class Outside:
    """The proxy, the settings that lead through it, and a folder for the test."""

    proxy: CompanyProxy
    settings: NetworkSettings
    folder: Path

    def enter(self, settings: NetworkSettings) -> None:
        """Put those settings in force in this process."""
        set_in_this_process(settings, self.folder / "state")
        authorities.cache_clear()
