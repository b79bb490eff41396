"""A server outside of this machine, as far as this process knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.services.process.network import BUNDLES, NetworkSettings
from flows.services.process.tls import authorities
from tests.services.process.outside import Outside
from tests.services.process.service import service
from tests.stand_ins.company_proxy import company_proxy

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
VARIABLES = (*PROXIES, *map(str.lower, PROXIES), *BUNDLES, "SSL_CERT_DIR")


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    """A network in which a proxy is the only way out; it is not in force yet."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back at the end, or taken away again
        monkeypatch.delenv(name)
    with service(tmp_path / "authority") as port, company_proxy(port) as proxy:
        login = tmp_path / "login"
        login.write_text(proxy.login)
        login.chmod(0o600)
        yield Outside(
            proxy, NetworkSettings(proxy.url, login, (), tmp_path / "authority" / "ca.crt"), tmp_path
        )
    authorities.cache_clear()
