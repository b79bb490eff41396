"""What is said when an identity gets no token: whose move it is, with Entra ID's code."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from azure.mgmt.containerservice import ContainerServiceClient

from flows.core.errors import CredentialsRefused, IdentityUnavailable, SettingsError, SlipwayError
from flows.services.azure.identity import STORAGE, AzureIdentity
from tests.services.azure.signing_in import CLIENT, ISSUER, WORKER, identity, install_az, workload
from tests.stand_ins.entra import Entra, refusal

SECRET = "s3cret-value"
OTHER = "bbbbbbbb-0000-0000-0000-000000000002"


def refused(asking: AzureIdentity) -> SlipwayError:
    """The error of a question for a token; it shows no secret."""
    with pytest.raises(SlipwayError) as caught:
        asking.token(STORAGE)
    assert SECRET not in str(caught.value)
    assert not isinstance(caught.value.__cause__, AzureError)
    return caught.value


def principal(directory: Entra, secret: str = SECRET) -> AzureIdentity:
    return identity(directory, "service-principal", secret)


def wrong_secret(directory: Entra) -> AzureIdentity:
    directory.secrets[CLIENT] = "another"
    return principal(directory)


def expired_secret(directory: Entra) -> AzureIdentity:
    directory.secrets[CLIENT] = SECRET
    directory.expired.add(CLIENT)
    return principal(directory)


def other_certificate(directory: Entra) -> AzureIdentity:
    pem = directory.certificate(CLIENT)
    directory.certificate(CLIENT)
    return principal(directory, pem)


def other_tenant(directory: Entra) -> AzureIdentity:
    return replace(directory.identity(CLIENT), tenant="99999999-0000-0000-0000-000000000000")


@pytest.mark.parametrize(
    ("wrong", "code", "happened", "remedy"),
    [
        (wrong_secret, 7000215, f"secret of the application {CLIENT} is wrong", "value, not its id"),
        (expired_secret, 7000222, "has expired", "Create a new one"),
        (principal, 700016, f"has no application {CLIENT}", "[azure] client_id"),
        (other_certificate, 700027, "certificate", "Upload it at the application"),
        (other_tenant, 90002, "no directory 99999999-", "[azure] tenant"),
    ],
)
def test_a_refusal_names_the_setting(
    wrong: Callable[[Entra], AzureIdentity], code: int, happened: str, remedy: str, directory: Entra
) -> None:
    error = refused(wrong(directory))

    assert isinstance(error, CredentialsRefused)
    assert f"(AADSTS{code})" in error.happened
    assert happened in error.happened
    assert remedy in error.remedy


def test_a_refusal_that_is_not_in_the_table_keeps_its_words(directory: Entra) -> None:
    directory.fail.append(refusal(400, 53003, "Access has been blocked by Conditional Access policies."))

    error = refused(directory.identity(CLIENT))

    assert isinstance(error, CredentialsRefused)
    assert "(AADSTS53003): Access has been blocked by Conditional Access policies." in error.happened
    assert "Trace ID" not in error.happened


@pytest.mark.parametrize(
    ("issuer", "subject", "code"),
    [(ISSUER.rstrip("/"), WORKER, 700211), (ISSUER, "system:serviceaccount:ci:other", 700213)],
)
def test_a_federated_token_that_matches_nothing_is_reported_with_issuer_and_subject(
    issuer: str, subject: str, code: int, directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.federated.add((CLIENT, ISSUER, WORKER))
    token = directory.federated_token(issuer, subject)

    error = refused(workload(directory, tmp_path / "token", monkeypatch, token))

    assert isinstance(error, CredentialsRefused)
    assert f"(AADSTS{code})" in error.happened
    assert f"issuer {issuer!r}, subject {subject!r}, audience 'api://AzureADTokenExchange'" in error.happened
    assert token not in str(error)


@pytest.mark.parametrize("code", [70021, 700212])
def test_a_federated_token_that_is_refused_in_other_words_is_reported_likewise(
    code: int, directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.fail.append(refusal(400, code, "No matching federated identity record found."))
    token = directory.federated_token(ISSUER, WORKER, aud=["sts.example.org"])

    error = refused(workload(directory, tmp_path / "token", monkeypatch, token))

    assert f"(AADSTS{code})" in error.happened
    assert "audience 'sts.example.org'" in error.happened


def test_a_federated_token_that_is_out_of_date_is_reported_with_its_time(
    directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.federated.add((CLIENT, ISSUER, WORKER))
    token = directory.federated_token(ISSUER, WORKER, nbf=1767225600, exp=1767229200)

    error = refused(workload(directory, tmp_path / "token", monkeypatch, token))

    assert isinstance(error, CredentialsRefused)
    assert "(AADSTS700024)" in error.happened
    assert "from 2026-01-01 00:00:00 UTC to 2026-01-01 01:00:00 UTC" in error.happened
    assert str(tmp_path / "token") in error.remedy


def test_a_process_without_a_federated_token_is_reported(
    directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = refused(identity(directory, "workload"))
    assert isinstance(error, SettingsError)
    assert "AZURE_FEDERATED_TOKEN_FILE is not set" in error.happened

    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "missing"))
    error = refused(identity(directory, "workload"))
    assert isinstance(error, SettingsError)
    assert f"{tmp_path}/missing: No such file" in error.happened


def test_a_block_without_a_key_is_reported(directory: Entra) -> None:
    error = refused(principal(directory, f"-----BEGIN CERTIFICATE-----\n{SECRET}"))

    assert isinstance(error, SettingsError)
    assert "no certificate with its key" in error.happened


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_directory_is_asked_again_by_the_task(status: int, directory: Entra) -> None:
    directory.fail += [(status, {}, {})] * 4

    assert isinstance(refused(directory.identity(CLIENT)), IdentityUnavailable)


def test_a_directory_that_was_busy_for_a_moment_gives_a_token(directory: Entra) -> None:
    directory.fail += [(429, {}, {})]

    assert directory.identity(CLIENT).token(STORAGE).value


def test_a_directory_that_is_away_is_reported_by_its_address(directory: Entra) -> None:
    away = replace(directory.cloud, authority="https://localhost:9")

    error = refused(replace(directory.identity(CLIENT), cloud=away))

    assert isinstance(error, IdentityUnavailable)
    assert error.happened == "Entra ID at https://localhost:9 could not be reached."


def test_a_certificate_that_is_not_trusted_is_reported(
    directory: Entra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")

    error = refused(directory.identity(CLIENT))

    assert isinstance(error, SettingsError)
    assert "is not trusted" in error.happened
    assert "[network] ca_bundle" in error.remedy


@pytest.mark.parametrize("endpoint", ["IMDS", "App Service"])
@pytest.mark.parametrize(
    ("client_id", "which"),
    [(CLIENT, f"managed identity {CLIENT}"), (None, "system-assigned identity")],
)
def test_an_identity_that_the_machine_does_not_have_is_reported(
    client_id: str | None, which: str, endpoint: str, directory: Entra, monkeypatch: pytest.MonkeyPatch
) -> None:
    if endpoint == "App Service":
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{directory.metadata}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header")
    directory.machine = {OTHER}

    error = refused(identity(directory, "managed", client_id=client_id))

    assert isinstance(error, CredentialsRefused)
    assert which in error.happened


def test_several_identities_of_a_machine_are_reported(directory: Entra) -> None:
    directory.machine = {CLIENT, OTHER}

    error = refused(identity(directory, "managed", client_id=None))

    assert isinstance(error, SettingsError)
    assert "several managed identities" in error.happened
    assert "[azure] client_id" in error.remedy


def test_a_machine_outside_of_azure_is_reported(directory: Entra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "header")

    error = refused(identity(directory, "managed"))

    assert isinstance(error, IdentityUnavailable)
    assert "169.254.169.254" in error.remedy


@pytest.mark.parametrize(
    ("script", "kind", "happened"),
    [
        ("echo \"Please run 'az login' to setup account.\" >&2; exit 1", CredentialsRefused, "not signed in"),
        (
            "echo 'AADSTS700082: It has expired.' >&2; exit 1",
            CredentialsRefused,
            "AADSTS700082",
        ),
        (f"echo 'broken {SECRET}' >&2; exit 3", CredentialsRefused, "gave no token"),
    ],
)
def test_what_az_says_is_reported(
    script: str,
    kind: type[SlipwayError],
    happened: str,
    directory: Entra,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install_az(tmp_path, monkeypatch, script)

    error = refused(identity(directory, "azure-cli"))

    assert isinstance(error, kind)
    assert happened in error.happened


def test_a_machine_without_az_is_reported(directory: Entra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert shutil.which("az") is None

    error = refused(identity(directory, "azure-cli"))

    assert isinstance(error, SettingsError)
    assert "not installed" in error.happened


def test_an_az_that_does_not_answer_is_reported(
    directory: Entra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_az(tmp_path, monkeypatch, "exec sleep 600")
    monkeypatch.setattr("flows.services.azure.identity.CLI_ANSWERS_WITHIN", 1)

    error = refused(identity(directory, "azure-cli"))

    assert isinstance(error, IdentityUnavailable)
    assert "within 1 s" in error.happened


def test_azures_own_clients_raise_the_same_errors(directory: Entra) -> None:
    client = ContainerServiceClient(wrong_secret(directory).credential, "subscription")

    with pytest.raises(CredentialsRefused, match="AADSTS7000215"):
        client.managed_clusters.get("group", "cluster")


def test_a_secret_that_was_replaced_is_used_at_the_next_question(directory: Entra) -> None:
    directory.secrets[CLIENT] = "new"
    block = ["old"]
    asking = replace(directory.identity(CLIENT), secret=lambda: block[0])
    with pytest.raises(CredentialsRefused):
        asking.token(STORAGE)
    block[0] = "new"

    assert asking.token(STORAGE).value
