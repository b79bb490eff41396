"""Which blocks the bootstrap of a Prefect server looks for: all that slipway.toml names."""

from flows.config.load import load
from flows.config.on_prefect import blocks_of
from flows.config.schema import Manifests, ModelSettings, Registry, Results


def test_the_block_of_a_private_repository_of_manifests_is_named() -> None:
    settings = load().model_copy(update={"manifests": Manifests(credentials="team-manifests")})
    assert blocks_of(settings)["secret/team-manifests"] == "[manifests] credentials"


def test_a_registry_that_an_identity_signs_in_at_has_no_block() -> None:
    registry = Registry(address="myteam.azurecr.io", repository="app", login="azure", pull_credentials="")
    settings = load().model_copy(update={"registry": registry})
    assert not [block for block in blocks_of(settings) if block.startswith("docker-registry-credentials/")]


def test_stores_without_credentials_name_no_block() -> None:
    stores = {
        "model": ModelSettings(name="classifier", store="az://acme/models"),
        "results": Results(store="s3://acme-results"),
    }
    keys = set(blocks_of(load().model_copy(update=stores)).values())
    assert not {"[model] credentials", "[results] credentials", "[results] storage"} & keys


def test_the_block_of_a_store_is_named_whatever_its_type() -> None:
    results = Results(store="s3://acme-results", credentials="aws-credentials/acme")
    named = blocks_of(load().model_copy(update={"results": results}))
    assert named["aws-credentials/acme"] == "[results] credentials"
