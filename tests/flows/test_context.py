"""With whose credentials a run reaches a cluster."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect_docker.credentials import DockerRegistryCredentials
from pydantic import SecretStr

from flows.config.load import EMBEDDED
from flows.config.schema import Azure, Registry
from flows.core.errors import ClusterNotPrepared, SettingsError
from flows.credentials import prefect_blocks
from flows.services.kubernetes.api import KubernetesApi
from flows.services.kubernetes.kubeconfig import AccountAccess
from flows.stages.context import opened
from tests.support.platform_under_test import PlatformUnderTest

pytestmark = pytest.mark.exclusive

USER = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture(autouse=True)
def this_platform(
    platform: PlatformUnderTest, prefect_of_the_platform: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_STATE", str(platform.instance.state))


def who(api: KubernetesApi) -> str:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return str(api.create(USER, review)["status"]["userInfo"]["username"])


def test_a_run_releases_with_the_account_of_the_environments_block() -> None:
    with opened("run-1", print, lambda _: print, prefect_blocks) as run:
        cluster = run.cluster("staging")
        assert who(cluster.api) == "system:serviceaccount:staging:slipway-release"
        assert who(run.cluster("production").api) == "system:serviceaccount:production:slipway-release"
        cluster.require_fence()
        assert isinstance(cluster.kubeconfig, AccountAccess)
        assert cluster.kubeconfig.context == cluster.context
        assert token_on_disk(run.workspace, cluster.kubeconfig.token()) == []


def token_on_disk(folder: Path, token: str) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and token.encode() in file.read_bytes()]


def test_an_environment_without_a_block_is_reached_by_its_context_and_is_not_fenced(
    platform: PlatformUnderTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = Path("slipway.toml").read_text()
    config = tmp_path / "slipway.toml"
    config.write_text("\n".join(line for line in text.splitlines() if "slipway-staging" not in line))
    monkeypatch.setenv("SLIPWAY_CONFIG", str(config))
    with opened("run-2", print, lambda _: print, prefect_blocks) as run:
        cluster = run.cluster("staging")
        assert (cluster.kubeconfig, cluster.context) == (platform.kubeconfig, EMBEDDED)
        with pytest.raises(ClusterNotPrepared, match="does not fence"):
            cluster.require_fence()


def test_a_block_that_is_not_there_is_named_with_its_place_in_slipway_toml(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIPWAY_ENVIRONMENTS__STAGING__CREDENTIALS", "nowhere")
    with (
        opened("run-3", print, lambda _: print, prefect_blocks) as run,
        pytest.raises(SettingsError, match=r"no block secret/nowhere.*\[environments\.staging\] credentials"),
    ):
        run.cluster("staging")


@pytest.mark.parametrize(
    ("block_is_for", "address"),
    [
        ("team.azurecr.io", "team.azurecr.io"),
        ("https://Team.azurecr.io/v2/", "team.azurecr.io"),
        ("https://index.docker.io/v1/", "docker.io"),
    ],
)
def test_a_registrys_password_goes_to_that_registry(block_is_for: str, address: str) -> None:
    with registry_block(block_is_for) as block:
        found = prefect_blocks.registry_login(wanted_registry(address, block), Azure())()
    assert found
    assert (found.address, found.username, found.password) == (address, "ci", "s3cret")


@pytest.mark.parametrize("address", ["evil.example", "team.azurecr.io:444", "team.azurecr.io.evil.example"])
def test_a_registrys_password_goes_to_no_other(address: str) -> None:
    with (
        registry_block("team.azurecr.io") as block,
        pytest.raises(SettingsError, match=rf"{block} is for team.azurecr.io, but .* {address}\."),
    ):
        prefect_blocks.registry_login(wanted_registry(address, block), Azure())()


@contextmanager
def registry_block(url: str) -> Iterator[str]:
    name = f"registry-{uuid.uuid4().hex[:8]}"
    login = DockerRegistryCredentials(registry_url=url, username="ci", password=SecretStr("s3cret"))
    login.save(name)
    yield name
    DockerRegistryCredentials.delete(name)


def wanted_registry(address: str, block: str) -> Registry:
    return Registry(address=address, repository="app", credentials=block)
