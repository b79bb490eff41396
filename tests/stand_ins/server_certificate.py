"""A certificate for a stand-in that is reached by https, from the authority of a folder."""

import ssl
from pathlib import Path

from deployments.local.cluster.certificates import Subject, ensure_authority


def certified(folder: Path, name: str, hosts: tuple[str, ...] = ()) -> ssl.SSLContext:
    """The server's side of TLS: for loopback and `hosts`, from the authority in `folder`, made if needed."""
    subject = Subject(name, hosts=("localhost", "127.0.0.1", *hosts))
    ensure_authority(folder).ensure(folder, name, subject)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context
