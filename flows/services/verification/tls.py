"""Whether users' clients accept a server's certificate, and still will for a while."""

import os
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

EXPIRES_SOON = timedelta(days=7)
"""A certificate that ends within it fails the check. cert-manager and certbot renew 30 days before the end;
a release is not the time at which users should find out."""

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_DEBIANS_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def trusting() -> ssl.SSLContext:
    """Trusts the system's authorities and those in the file that SSL_CERT_FILE names."""
    return _trusting(os.environ.get("SSL_CERT_FILE", ""))


@lru_cache(maxsize=4)  # reading a bundle takes some 20 ms
def _trusting(extra: str) -> ssl.SSLContext:
    context = ssl.create_default_context()  # SSL_CERT_FILE takes the place of the system's bundle here
    for bundle in (ssl.get_default_verify_paths().openssl_cafile, _DEBIANS_BUNDLE, extra):
        if bundle and Path(bundle).is_file():
            context.load_verify_locations(bundle)
    return context


def complaint(
    connect: Callable[[], socket.socket], host: str, valid_for: timedelta = EXPIRES_SOON
) -> str | None:
    """What is wrong with the certificate shown for `host` on fresh connections; None when nothing is.

    A part of a sentence that begins with "the certificate". `OSError` where a connection breaks.
    """
    try:
        with connect() as connection, trusting().wrap_socket(connection, server_hostname=host) as secured:
            ends = _end(secured)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED and (ended := _shown_end(connect, host)) < datetime.now(UTC):
            return f"expired on {_as_text(ended)}"
        return f"is not accepted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"can't be had, because no TLS is spoken there: {error.reason}"
    if ends - datetime.now(UTC) < valid_for:
        return f"expires on {_as_text(ends)}, in less than {valid_for.days} days"
    return None


def _shown_end(connect: Callable[[], socket.socket], host: str) -> datetime:
    """The end of a certificate that was refused: it may be another of its chain that expired."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent
    with connect() as connection, context.wrap_socket(connection, server_hostname=host) as secured:
        return _end(secured)


def _as_text(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _end(secured: ssl.SSLSocket) -> datetime:
    from cryptography import x509  # noqa: PLC0415  # an eighth of a flow run's start, for https:// alone

    shown = secured.getpeercert(binary_form=True)
    assert shown is not None, "a TLS server always shows its certificate"
    return x509.load_der_x509_certificate(shown).not_valid_after_utc
