"""A file with one certificate authority, whose key does not exist any more.

Prefect reads the system's authorities for every client that it makes, though this platform's server is asked
through http://. That takes 40 ms of a core each time, and more than half of what a flow run computes. With
this file it takes less than one.
"""

from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from deployments.local.cluster.certificates import Subject, certificate_builder

VARIABLE = "PREFECT_API_SSL_CERT_FILE"


def ensure(folder: Path) -> Path:
    """The file in that folder, made the first time. Its key is not kept, so it vouches for no server."""
    file = folder / "no-authorities.pem"
    if not file.exists():
        key = ec.generate_private_key(ec.SECP256R1())  # the key is not kept
        name = Subject("no authority").x509_name
        certificate = certificate_builder(name, name, key, life=timedelta()).sign(key, hashes.SHA256())
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return file
