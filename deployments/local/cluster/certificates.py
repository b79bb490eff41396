"""The platform's certificate authority and the certificates it issues, as files.

A file is made once, and again 90 days before it expires, after the authority changed, or if the hosts differ.
Those checks are most of this module. trustme could issue the certificates, but it makes none of the checks,
and its authority is always valid until the year 3000.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flows.services.process.files import write_private

AUTHORITY_LIFE = timedelta(days=3650)
CERTIFICATE_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=90)
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Subject:
    """Whom a certificate is for: to Kubernetes the name is the user, the organization the group."""

    name: str
    organization: str = ""
    hosts: tuple[str, ...] = ()
    """Names and addresses under which it serves."""

    @property
    def x509_name(self) -> x509.Name:
        """The subject as it stands in the certificate."""
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, self.name)]
        if self.organization:
            attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization))
        return x509.Name(attributes)

    @property
    def alternative_names(self) -> x509.SubjectAlternativeName:
        """`hosts` as the extension that clients check."""
        return x509.SubjectAlternativeName([_general_name(host) for host in self.hosts])


@dataclass(frozen=True)
class Authority:
    """Issues certificates; its own is `certificate` (PEM)."""

    key: ec.EllipticCurvePrivateKey
    x509_certificate: x509.Certificate

    @property
    def certificate(self) -> bytes:
        """What clients trust, as PEM."""
        return self.x509_certificate.public_bytes(Encoding.PEM)

    def ensure(self, folder: Path, stem: str, subject: Subject) -> None:
        """`<stem>.crt` and `<stem>.key` in `folder`, still good for 90 days."""
        files = folder / f"{stem}.crt", folder / f"{stem}.key"
        if all(file.exists() for file in files) and self._still_good(files[0], subject):
            return
        files[0].unlink(missing_ok=True)  # never beside a key that it does not belong to
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(files[1], _pem(key))
        write_private(files[0], self._issue(key, subject).public_bytes(Encoding.PEM))

    def _still_good(self, file: Path, subject: Subject) -> bool:
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
            certificate.verify_directly_issued_by(self.x509_certificate)
        except (InvalidSignature, ValueError):  # another authority's, or no certificate at all
            return False
        return (
            certificate.subject == subject.x509_name
            and _alternative_names(certificate) == subject.alternative_names
            and not _expires_soon(certificate)
        )

    def _issue(self, key: ec.EllipticCurvePrivateKey, subject: Subject) -> x509.Certificate:
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = (
            certificate_builder(subject.x509_name, self.x509_certificate.subject, key, CERTIFICATE_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(_issued_by(self.key), critical=False)
        )
        if subject.hosts:
            builder = builder.add_extension(subject.alternative_names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def ensure_authority(folder: Path) -> Authority:
    """The authority kept in `folder` as ca.crt and ca.key, made when there is none or it is about to end."""
    files = folder / "ca.crt", folder / "ca.key"
    if all(file.exists() for file in files):
        certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
        key = load_pem_private_key(files[1].read_bytes(), password=None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and not _expires_soon(certificate):
            return Authority(key, certificate)
    files[0].unlink(missing_ok=True)
    authority = _new_authority()
    write_private(files[1], _pem(authority.key))
    write_private(files[0], authority.certificate)
    return authority


def _new_authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = Subject("Slipway's embedded platform").x509_name
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        certificate_builder(name, name, key, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(key, builder.sign(key, hashes.SHA256()))


def certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: CertificateIssuerPrivateKeyTypes, life: timedelta
) -> x509.CertificateBuilder:
    """What every certificate has: both names, the key, a serial number, and its time from now on."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _issued_by(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _expires_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.now(UTC) < RENEW_BEFORE


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
