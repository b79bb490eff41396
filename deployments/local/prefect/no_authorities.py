"""A file of authorities that holds one without a key.

Prefect reads the system's authorities for every client that it makes, though this platform's server is asked
through http://. That takes 40 ms of a core each time, and more than half of what a flow run computes. With
this file it takes less than one.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

VARIABLE = "PREFECT_API_SSL_CERT_FILE"


def ensure(folder: Path) -> Path:
    """The file in that folder, made the first time. Its key is not kept, so it vouches for no server."""
    file = folder / "no-authorities.pem"
    if not file.exists():
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)  # the key is not kept
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "no authority")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now)
            .sign(key, hashes.SHA256())
        )
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return file
