import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.local import platform_file
from deployments.local.instance import Instance
from deployments.local.platform_file import WrittenSettings
from flows.config.load import CHECKOUT, load, load_as
from flows.config.schema import Embedded
from flows.core.errors import SettingsError

Write = Callable[..., WrittenSettings]

ACR = 'address = "team.azurecr.io"'
LOCAL = 'address = "localhost:5001"'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    state = tmp_path / "state"
    platform_file.mark_state_folder(state)
    monkeypatch.setenv("SLIPWAY_STATE", str(state))
    return Instance("slipway-unit", CHECKOUT, state, Embedded(app_port=8888, dns_port=5333))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a slipway.toml with replacements, and reads it."""

    def write(*replacements: str) -> WrittenSettings:
        text = (CHECKOUT / "slipway.toml").read_text()
        for old, new in zip(replacements[::2], replacements[1::2], strict=True):
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "slipway.toml").write_text(text)
        monkeypatch.setenv("SLIPWAY_CONFIG", str(tmp_path / "slipway.toml"))
        return load_as(WrittenSettings)

    return write


def content(place: Instance) -> dict[str, Any]:
    return tomllib.loads((place.state / "platform.toml").read_text())


def test_flows_see_what_the_platform_filled_in(place: Instance, write: Write) -> None:
    written = write()
    platform_file.add_registry(place, written, "localhost:5999", "localhost:5999/slipway/base@sha256:1")
    platform_file.add_cluster(place, written, Path("/k/config"), Path("/k/kubectl"))
    seen = load()
    assert (seen.registry.address, seen.registry.insecure) == ("localhost:5999", True)
    assert seen.registry.pull_address == f"localhost:{place.ports.registry_pull_port}"
    assert seen.app.base_image == "localhost:5999/slipway/base@sha256:1"
    assert seen.kubectl == "/k/kubectl"
    production = seen.environment("production")
    assert production.kubeconfig == Path("/k/config")
    assert production.public_url == "http://production.slipway.test:8888"
    assert production.resolver == "127.0.0.1:5333"
    assert [str(address) for address in production.load_balancer] == ["127.0.0.1"]
    assert seen.environment("staging").public_url == "http://staging.slipway.test:8081"


def test_a_registry_elsewhere_is_left_to_slipway_toml(place: Instance, write: Write) -> None:
    assert platform_file.wants_registry(write())
    platform_file.add_registry(place, write(), "localhost:5999", "base")
    written = write(LOCAL, ACR)
    assert not platform_file.wants_registry(written)
    platform_file.forget_stale(place, written)
    assert load().registry.address == "team.azurecr.io"
    assert load().app.base_image == "python:3.11-slim-bookworm"


def test_a_base_image_that_a_person_chose_stays(place: Instance, write: Write) -> None:
    written = write("python:3.11-slim-bookworm", "team/base:1")
    platform_file.add_registry(place, written, "localhost:5999", "ours")
    assert load().app.base_image == "team/base:1"


def test_only_embedded_environments_are_filled_in(place: Instance, write: Write) -> None:
    platform_file.add_cluster(place, write(), Path("/k/config"), Path("/k/kubectl"))
    written = write('context = "embedded"', 'context = "kind-team"')
    assert not written.wants_embedded_cluster
    platform_file.forget_stale(place, written)
    assert content(place) == {"environments": {}}
    assert load().environment("production").kubeconfig is None


def test_an_embedded_environment_that_the_edge_does_not_serve_is_reported_with_the_remedy(
    place: Instance, write: Write
) -> None:
    written = write("[environments.staging]", "[environments.trial]", '"staging"', '"trial"')
    with pytest.raises(SettingsError, match=r"no listener for the environment 'trial'. Add"):
        platform_file.add_cluster(place, written, Path("/k/config"), Path("/k/kubectl"))


def test_an_environment_with_a_listener_of_its_own_is_served_there(place: Instance, write: Write) -> None:
    written = write("[environments.staging]", "[environments.trial]", '"staging"', '"trial"')
    ports = Embedded.model_validate({"listeners": {"trial": {"port": 8082, "node_port": 30082}}})
    written = written.model_copy(update={"embedded": ports})
    platform_file.add_cluster(replace(place, ports=ports), written, Path("/k/config"), Path("/k/kubectl"))
    assert content(place)["environments"]["trial"]["public_url"] == "http://trial.slipway.test:8082"


def test_only_a_folder_made_for_a_platform_counts_as_one(tmp_path: Path) -> None:
    assert not platform_file.is_state_folder(tmp_path)
    platform_file.mark_state_folder(tmp_path)
    assert platform_file.is_state_folder(tmp_path)


def test_only_the_main_platform_is_the_command_lines(place: Instance) -> None:
    assert not platform_file.is_main(place)
    assert platform_file.is_main(Instance("slipway", CHECKOUT, CHECKOUT / ".slipway", Embedded()))


def test_the_sample_that_was_chosen_is_served_until_another_is(place: Instance, write: Write) -> None:
    written = write()
    assert load().model.name == "classifier"
    platform_file.choose_sample(place, written, "digits")
    platform_file.forget_stale(place, written)
    assert load().model.name == "digits"
    assert load().model.store == written.model.store
    platform_file.choose_sample(place, written, "classifier")
    assert load().model.name == "classifier"


def test_a_teams_own_model_counts_before_a_sample_that_was_chosen_earlier(
    place: Instance, write: Write
) -> None:
    platform_file.choose_sample(place, write(), "digits")
    theirs = write('[model]\nname = "classifier"', '[model]\nname = "birds"')
    platform_file.forget_stale(place, theirs)
    assert load().model.name == "birds"
    with pytest.raises(SettingsError, match="'birds', which is none of the samples"):
        platform_file.choose_sample(place, theirs, "digits")
