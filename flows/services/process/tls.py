"""TLS contexts that are made once: to read the system's authorities takes 40 ms of a core.

httpx reads them for every client, also for one that only asks http:// addresses.
"""

import ssl
from functools import cache

import httpx

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For http:// addresses. It trusts no server, so it never connects to an https:// address."""


@cache
def authorities(*, trust_env: bool = True) -> ssl.SSLContext:
    """Trusts whom httpx trusts; with `trust_env` SSL_CERT_FILE and SSL_CERT_DIR count."""
    return httpx.create_ssl_context(trust_env=trust_env)


def context_for(url: str, *, trust_env: bool = True) -> ssl.SSLContext:
    """What a client needs that asks this address and follows no redirect."""
    return NO_TLS if url.startswith("http://") else authorities(trust_env=trust_env)
