"""A certificate that signs itself, for a stand-in that is reached by https at 127.0.0.1."""

import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployments.local.cluster.certificates import Subject, certificate_builder


@dataclass(frozen=True)
class OwnCertificate:
    """The certificate as PEM, which is its own authority, and the server's side of its connections."""

    authority: bytes
    server: ssl.SSLContext


def own_certificate() -> OwnCertificate:
    """For an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = Subject("a stand-in", hosts=("127.0.0.1",))
    certificate = (
        certificate_builder(subject.x509_name, subject.x509_name, key, timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(subject.alternative_names, critical=False)
        .sign(key, hashes.SHA256())
    )
    authority = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "chain.pem"
        file.write_bytes(private + authority)
        server.load_cert_chain(file)
    return OwnCertificate(authority, server)
