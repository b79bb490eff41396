"""What [network] becomes for each client, and the files that it names."""

import json
import ssl
from pathlib import Path

import pytest

from deployments.local.cluster.certificates import ensure_authority
from flows.core.errors import SettingsError
from flows.services.process.network import (
    BUNDLES,
    LOCAL,
    NetworkSettings,
    docker_proxies,
    login_of,
    variables,
)

PROXY = "http://proxy.example.org:3128"


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The certificate of an authority that no system knows."""
    ensure_authority(tmp_path)
    return tmp_path / "ca.crt"


def login(folder: Path, content: str, mode: int = 0o600) -> Path:
    file = folder / "login"
    file.write_text(content)
    file.chmod(mode)
    return file


def test_without_settings_nothing_is_set(tmp_path: Path) -> None:
    assert variables(NetworkSettings(), tmp_path, {}) == {}


def test_a_proxy_is_set_in_both_cases_of_its_variables(tmp_path: Path) -> None:
    found = variables(NetworkSettings(PROXY), tmp_path, {})

    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
    assert {found[name] for name in names} == {PROXY}
    assert found["NO_PROXY"] == found["no_proxy"] == ",".join(LOCAL)


def test_the_login_is_escaped_in_the_proxys_address(tmp_path: Path) -> None:
    settings = NetworkSettings(PROXY, login(tmp_path, "user:p@ss/w:rd\n"))

    found = variables(settings, tmp_path, {})["HTTPS_PROXY"]

    assert found == "http://user:p%40ss%2Fw%3Ard@proxy.example.org:3128"
    assert login_of(found) == "user:p@ss/w:rd"
    assert login_of(PROXY) is None


def test_hosts_of_settings_shell_and_machine_are_reached_without_a_proxy(tmp_path: Path) -> None:
    settings = NetworkSettings(PROXY, no_proxy=(".example.org",))
    shell = {"NO_PROXY": "git.example.com, localhost", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}

    found = variables(settings, tmp_path, shell)["no_proxy"].split(",")

    assert sorted(found) == sorted({"git.example.com", ".example.org", "10.0.0.1", *LOCAL})


def test_a_proxy_of_the_shell_is_not_used_for_this_machine(tmp_path: Path) -> None:
    found = variables(NetworkSettings(), tmp_path, {"https_proxy": PROXY})

    assert found == {"NO_PROXY": ",".join(LOCAL), "no_proxy": ",".join(LOCAL)}


def test_authorities_are_trusted_beside_those_of_the_system(tmp_path: Path, authority: Path) -> None:
    found = variables(NetworkSettings(authorities=authority), tmp_path / "state", {})

    bundle = Path(found["SSL_CERT_FILE"])
    assert {found[name] for name in BUNDLES} == {str(bundle)}
    merged = ssl.create_default_context(cafile=bundle)
    system = ssl.create_default_context()
    assert {one["serialNumber"] for one in merged.get_ca_certs()} > {
        one["serialNumber"] for one in system.get_ca_certs()
    }
    assert authority.read_text().strip() in bundle.read_text()


def test_a_key_beside_the_authorities_is_not_copied(tmp_path: Path, authority: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "ca.key").read_text() + authority.read_text())

    bundle = Path(variables(NetworkSettings(authorities=both), tmp_path / "state", {})["SSL_CERT_FILE"])

    assert "PRIVATE KEY" not in bundle.read_text()


def test_nothing_is_left_to_add_to_what_was_added(tmp_path: Path, authority: Path) -> None:
    settings = NetworkSettings(PROXY, login(tmp_path, "user:password"), ("a.example.org",), authority)

    once = variables(settings, tmp_path, {"NO_PROXY": "b.example.org"})

    assert variables(settings, tmp_path, once) == once


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (None, "No such file"),
        ("no certificate", "no certificate in PEM format"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "no certificate in PEM format"),
    ],
)
def test_a_bundle_that_can_not_be_used_is_reported(content: str | None, wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(SettingsError, match=f"{file}: .*{wrong}") as caught:
        variables(NetworkSettings(authorities=file), tmp_path, {})
    assert "[network] ca_bundle" in caught.value.remedy


def test_a_login_that_other_users_can_read_is_refused(tmp_path: Path) -> None:
    file = login(tmp_path, "user:secret", 0o644)

    with pytest.raises(SettingsError, match="Every user of this machine") as caught:
        variables(NetworkSettings(PROXY, file), tmp_path, {})
    assert caught.value.remedy == f"Run: chmod 600 {file}"


@pytest.mark.parametrize("content", ["secret", ":secret", "user:secret\nuser:secret", ""])
def test_a_file_without_a_login_is_reported_and_not_quoted(content: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no login of a proxy") as caught:
        variables(NetworkSettings(PROXY, login(tmp_path, content)), tmp_path, {})
    assert "secret" not in str(caught.value)


def test_a_login_that_is_missing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        variables(NetworkSettings(PROXY, tmp_path / "missing"), tmp_path, {})


def test_docker_hands_the_proxy_to_builds(tmp_path: Path) -> None:
    found = docker_proxies(variables(NetworkSettings(PROXY, no_proxy=("a.example.org",)), tmp_path, {}))

    default = {"httpProxy": PROXY, "httpsProxy": PROXY, "noProxy": ",".join(("a.example.org", *LOCAL))}
    assert json.loads(json.dumps(found)) == {"default": default}


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:3128", "http://localhost:3128"])
def test_docker_hands_no_proxy_to_builds_that_they_can_not_reach(proxy: str) -> None:
    assert docker_proxies({"HTTPS_PROXY": proxy, "no_proxy": "localhost"}) == {}
