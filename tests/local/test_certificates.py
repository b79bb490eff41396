import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from deployments.local.cluster import certificates
from deployments.local.cluster.certificates import Authority, Subject, ensure_authority

SERVER = Subject("kube-apiserver", hosts=("127.0.0.1", "control-plane"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return ensure_authority(tmp_path / "authority")


def issued(folder: Path, stem: str = "server") -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{stem}.crt").read_bytes())


def verify(certificate: x509.Certificate, authority: Authority, host: str) -> None:
    policy = PolicyBuilder().store(Store([authority.x509_certificate]))
    policy.build_server_verifier(x509.DNSName(host)).verify(certificate, [])


def test_a_certificate_is_trusted_by_who_trusts_the_authority_and_for_its_hosts_alone(
    authority: Authority, tmp_path: Path
) -> None:
    authority.ensure(tmp_path, "server", SERVER)
    verify(issued(tmp_path), authority, "control-plane")
    with pytest.raises(VerificationError):
        verify(issued(tmp_path), authority, "worker")
    with pytest.raises(VerificationError):
        verify(issued(tmp_path), ensure_authority(tmp_path / "another"), "control-plane")


def test_a_certificate_holds_its_addresses_and_names(authority: Authority, tmp_path: Path) -> None:
    authority.ensure(tmp_path, "server", SERVER)
    names = issued(tmp_path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["control-plane"]


def test_a_client_certificate_names_user_and_group(authority: Authority, tmp_path: Path) -> None:
    authority.ensure(tmp_path, "client", Subject("system:node:worker", "system:nodes"))
    assert issued(tmp_path, "client").subject.rfc4514_string() == "CN=system:node:worker,O=system:nodes"


def test_the_key_belongs_to_the_certificate(authority: Authority, tmp_path: Path) -> None:
    authority.ensure(tmp_path, "server", SERVER)
    ssl.create_default_context().load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")


def test_only_the_owner_can_read_keys_and_certificates(authority: Authority, tmp_path: Path) -> None:
    authority.ensure(tmp_path, "server", SERVER)
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.rglob("*.???")}
    assert modes == dict.fromkeys(("ca.crt", "ca.key", "server.crt", "server.key"), 0o600)


def test_a_good_certificate_is_kept(authority: Authority, tmp_path: Path) -> None:
    authority.ensure(tmp_path, "server", SERVER)
    before = issued(tmp_path)
    ensure_authority(tmp_path / "authority").ensure(tmp_path, "server", SERVER)
    assert issued(tmp_path) == before


@pytest.mark.parametrize(
    "wanted",
    [
        Subject("kube-apiserver", hosts=("127.0.0.1", "another-host")),
        Subject("kube-apiserver", "system:masters", hosts=SERVER.hosts),
    ],
)
def test_a_certificate_for_other_hosts_or_another_user_is_remade(
    authority: Authority, tmp_path: Path, wanted: Subject
) -> None:
    authority.ensure(tmp_path, "server", SERVER)
    before = issued(tmp_path)
    authority.ensure(tmp_path, "server", wanted)
    assert issued(tmp_path) != before


def test_a_certificate_of_another_authority_is_remade(authority: Authority, tmp_path: Path) -> None:
    authority.ensure(tmp_path, "server", SERVER)
    other = ensure_authority(tmp_path / "another")
    other.ensure(tmp_path, "server", SERVER)
    verify(issued(tmp_path), other, "control-plane")


def test_a_certificate_that_ends_soon_is_remade(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as short:
        short.setattr(certificates, "CERTIFICATE_LIFE", timedelta(days=89))
        authority.ensure(tmp_path, "server", SERVER)
    before = issued(tmp_path)
    authority.ensure(tmp_path, "server", SERVER)
    assert issued(tmp_path).not_valid_after_utc > before.not_valid_after_utc + timedelta(days=200)


@pytest.mark.parametrize("broken", ["server.crt", "server.key"])
def test_what_a_crash_left_is_remade(authority: Authority, tmp_path: Path, broken: str) -> None:
    authority.ensure(tmp_path, "server", SERVER)
    (tmp_path / broken).unlink()
    authority.ensure(tmp_path, "server", SERVER)
    ssl.create_default_context().load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")


def test_a_damaged_certificate_is_remade(authority: Authority, tmp_path: Path) -> None:
    authority.ensure(tmp_path, "server", SERVER)
    (tmp_path / "server.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    authority.ensure(tmp_path, "server", SERVER)
    verify(issued(tmp_path), authority, "control-plane")
