"""Proxy and certificate authorities as environment variables, which clients and programs read by themselves.

Each reads other variables, most of them when the client is made. So a process sets all of them at its start.
"""

import os
import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from flows.core.errors import SettingsError
from flows.services.process.files import write_atomically

METADATA = "169.254.169.254"
"""Where a machine in a cloud gets its identity: a proxy would get its own."""

LOCAL = ("localhost", "127.0.0.1", "::1", METADATA)
"""Hosts that are never reached through a proxy."""

BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE")
"""Each takes the place of the system's authorities in its programs: the first in those with OpenSSL, Go and
rustls, the others in requests, curl, git and AWS's."""

_PROXIES = {"https_proxy", "http_proxy", "all_proxy"}
_SYSTEMS_BUNDLES = (
    ssl.get_default_verify_paths().openssl_cafile,
    "/etc/ssl/certs/ca-certificates.crt",  # Debian
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class NetworkSettings:
    """As [network] in slipway.toml: a proxy, the file with its login, hosts that are reached without it, and
    a file with further authorities (PEM)."""

    proxy: str | None = None
    login: Path | None = None
    no_proxy: tuple[str, ...] = ()
    authorities: Path | None = None


def variables(settings: NetworkSettings, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to that environment; to add them twice changes nothing.

    `folder` gets the bundle of the system's authorities and ours. `SettingsError` for a file that is missing
    or holds something else, and for a login that other users can read.
    """
    added: dict[str, str] = {}
    if settings.proxy is not None:
        proxy = _with_login(settings.proxy, settings.login)
        for name in ("HTTPS_PROXY", "HTTP_PROXY"):
            added |= {name: proxy, name.lower(): proxy}
    if settings.no_proxy or any(name.lower() in _PROXIES for name in {**environment, **added}):
        names = ",".join(_without_proxy(settings, environment))
        added |= {"NO_PROXY": names, "no_proxy": names}
    if settings.authorities is not None:
        bundle = str(_bundle(settings.authorities, folder))
        added |= dict.fromkeys(BUNDLES, bundle)
    return added


def set_in_this_process(settings: NetworkSettings, folder: Path) -> bool:
    """Add the variables to this process, before it makes clients and starts programs; whether any was new.

    Errors as of `variables`.
    """
    added = variables(settings, folder, os.environ)
    changed = any(os.environ.get(name) != value for name, value in added.items())
    os.environ.update(added)
    return changed


def docker_proxies(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The value of `proxies` in docker's configuration, which the docker client passes to builds.

    A proxy on this machine's loopback is left out: a build can't reach it there.
    """
    found = {
        key: value
        for key, names in (
            ("httpProxy", ("http_proxy", "HTTP_PROXY")),
            ("httpsProxy", ("https_proxy", "HTTPS_PROXY")),
            ("noProxy", ("no_proxy", "NO_PROXY")),
        )
        if (value := next((environment[name] for name in names if environment.get(name)), ""))
    }
    leads_out = any(key != "noProxy" and not _is_loopback(proxy) for key, proxy in found.items())
    return {"default": found} if leads_out else {}


def login_of(proxy: str) -> str | None:
    """The `user:password` in a proxy's URL."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def _with_login(proxy: str, file: Path | None) -> str:
    if file is None:
        return proxy
    try:
        content, mode = file.read_text().strip(), file.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The login of the proxy can't be read from {file}: {_reason(error)}.",
            "Correct [network] proxy_login, or let the user of this process read the file.",
        ) from None
    if mode & stat.S_IRWXO:
        raise SettingsError(
            f"Every user of this machine may open {file}, which holds the login of the proxy.",
            f"Run: chmod 600 {file}",
        )
    user, separator, password = content.partition(":")
    if not (user and separator) or "\n" in content:
        raise SettingsError(
            f"The file {file} holds no login of a proxy.", "Write one line into it: user:password"
        )
    parts = urlsplit(proxy)
    host = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"
    return urlunsplit((parts.scheme, host, "", "", ""))


def _without_proxy(settings: NetworkSettings, environment: Mapping[str, str]) -> list[str]:
    known = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    before = [name.strip() for name in known.split(",") if name.strip()]
    in_a_pod = [server] if (server := environment.get("KUBERNETES_SERVICE_HOST")) else []
    return list(dict.fromkeys([*before, *settings.no_proxy, *LOCAL, *in_a_pod]))


def _bundle(authorities: Path, folder: Path) -> Path:
    ours = _certificates(authorities)
    system = next((Path(file) for file in _SYSTEMS_BUNDLES if file and Path(file).is_file()), None)
    merged = folder / "authorities.pem"
    content = (system.read_bytes().rstrip() + b"\n" if system else b"") + ours.encode()
    if not merged.is_file() or merged.read_bytes() != content:
        write_atomically(merged, content)
    return merged


def _certificates(file: Path) -> str:
    """The certificates in the file, without whatever else it holds, such as a key."""
    try:
        found = "\n".join(_CERTIFICATE.findall(file.read_text())) + "\n"
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)
    except (OSError, ValueError) as error:
        reason = (
            "it holds no certificate in PEM format" if isinstance(error, ssl.SSLError) else _reason(error)
        )
        raise SettingsError(
            f"The certificate authorities can't be read from {file}: {reason}.",
            "Correct [network] ca_bundle.",
        ) from error
    return found


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or "it is no text"


def _is_loopback(proxy: str) -> bool:
    host = urlsplit(proxy).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
