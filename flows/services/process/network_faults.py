"""What a failed connection means, whichever client says it: an untrusted certificate, a proxy that wants a
login, or a proxy on the way that may itself be away.

The words are those of OpenSSL, GnuTLS, rustls and Go for certificates, and of urllib3, httpx, reqwest,
libcurl and Go for proxies.
"""

import re
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

from flows.core.errors import SettingsError

_CERTIFICATE = re.compile(
    r"certificate verify failed|certificate verification failed|invalid peer certificate|"
    r"SSL certificate problem|SSL certificate OpenSSL verify result|does not match target host|"
    r"x509: |InvalidCertificate|SSLCertVerificationError",
    re.IGNORECASE,
)
_EXPIRED = re.compile(r"certificate has expired|certificate expired|\bExpired(Context)?\b", re.IGNORECASE)
_OTHER_HOST = re.compile(
    r"hostname mismatch|not valid for|NotValidForName|does not match|certificate is valid for", re.IGNORECASE
)
_LOGIN = re.compile(
    r"proxy authentication required|ProxyAuthRequired|(response|code|error:) 407|proxy CONNECT aborted",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:tunnel failed, response|Received HTTP code|Tunnel connection failed:|ProxyError:) (4\d\d)"
)
"""A proxy that connects to no such host. obstore does not say with which status."""

CA_BUNDLE = "Set [network] ca_bundle to a file with that authority's certificate, as PEM."


def permanent_fault(
    place: str, url: str, error: Exception | str, authority: str = CA_BUNDLE
) -> SettingsError | None:
    """The error where waiting can't help; `error` is what a client or program said of `url`, whose name is
    `place`.

    It is not quoted, as it may hold a signed URL. `authority` says how to trust another one there.
    """
    said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    proxy = _proxy(url)
    if proxy and _LOGIN.search(said):
        return _login_error(place, proxy)
    if proxy and (denied := _DENIED.search(said)):
        return SettingsError(
            f"The proxy {_without_login(proxy)} makes no connection to {place}: it answers {denied[1]}.",
            "Have the host allowed at the proxy, or name it at [network] no_proxy.",
        )
    if not _CERTIFICATE.search(said):
        return None
    if _EXPIRED.search(said):
        return SettingsError(
            f"The certificate of {place} has expired.",
            "Renew it there. If it is valid, set this machine's clock.",
        )
    if _OTHER_HOST.search(said):
        return SettingsError(
            f"The certificate of {place} is for another host.",
            "Correct the address in slipway.toml, or the certificate there.",
        )
    return SettingsError(
        f"The certificate of {place} is not trusted: no known authority issued it.", authority
    )


def through_proxy(url: str) -> str:
    """Words for a message about a server that could not be reached; "" where no proxy is on the way."""
    proxy = _proxy(url)
    return f" through the proxy {_without_login(proxy)}" if proxy else ""


def _login_error(place: str, proxy: str) -> SettingsError:
    shown = _without_login(proxy)
    if urlsplit(proxy).username is None:
        return SettingsError(
            f"The proxy {shown} wants a user and a password for the way to {place}.",
            "Write user:password into a file, and name it at [network] proxy_login.",
        )
    return SettingsError(
        f"The proxy {shown} refuses the user and password that it was given for the way to {place}.",
        "Correct them in the file that [network] proxy_login names.",
    )


def _proxy(url: str) -> str | None:
    """That of the environment's variables for the URL, with its login."""
    parts = urlsplit(url)
    proxies = getproxies()
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def _without_login(proxy: str) -> str:
    parts = urlsplit(proxy)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
