"""slipway.toml as people get it wrong, and what they are told."""

import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from flows.config import load as configuration
from flows.config.schema import Listener, Preprocessing
from flows.core.errors import SettingsError
from flows.credentials import environment


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of slipway.toml to spoil, with no platform and no variables beside it."""
    for name in [name for name in os.environ if name.startswith("SLIPWAY_")]:
        monkeypatch.delenv(name)
    file = tmp_path / "slipway.toml"
    file.write_text((configuration.CHECKOUT / "slipway.toml").read_text())
    monkeypatch.setenv("SLIPWAY_CONFIG", str(file))
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path / "state"))
    return file


def spoil(file: Path, before: str, after: str) -> None:
    content = file.read_text()
    assert before in content
    file.write_text(content.replace(before, after))


def test_the_projects_own_file_is_valid(written: Path) -> None:
    assert configuration.load().environment("production").replicas == 3


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("port = 8000", "prot = 8000", "unknown key 'app.prot' (allowed: name, dockerfile, context"),
        (
            "replicas = 3",
            "replica = 3",
            "unknown key 'environments.production.replica' (allowed: context",
        ),
        ("port = 8000", 'port = "many"', "key 'app.port' is \"many\": Input should be a valid integer"),
        ("replicas = 3", "replicas = 0", "key 'environments.production.replicas' is 0"),
        ('timezone = "Europe/Berlin"', 'timezone = "Berlin"', "must be a time zone such as Europe/Berlin"),
        ('address = "localhost:5001"', "", "key 'registry.address' is missing"),
        (
            "[environments.production]",
            "[environment.production]",
            "unknown key 'environment' (allowed: timezone",
        ),
        ("[app]", "[app", "is not valid TOML"),
        (
            'released_branch = "main"',
            'branch = "main"',
            "unknown key 'source.branch' (allowed: repository",
        ),
        (
            'nightly = "0 2',
            'nightly = "2',
            "key 'schedule.nightly' is \"2 * * *\": must be a cron",
        ),
        ("catch_up = 4", "catch_up = 0", "key 'schedule.catch_up' is 0"),
        ("interval = 60", "interval = 0", "key 'watch.interval' is 0"),
        ('repository = "."', 'repository = "https://me:pw@example.org/a"', "must hold no password"),
    ],
)
def test_what_is_wrong_is_told_with_file_key_and_what_is_allowed(
    written: Path, before: str, after: str, told: str
) -> None:
    spoil(written, before, after)
    with pytest.raises(SettingsError) as refused:
        configuration.load()
    assert told in str(refused.value)
    assert str(written) in str(refused.value)
    assert str(refused.value).endswith(configuration.CORRECT)


def test_a_password_that_is_refused_is_in_no_traceback(written: Path) -> None:
    spoil(written, 'repository = "."', 'repository = "https://me:s3cret@example.org/a"')
    with pytest.raises(SettingsError) as refused:
        configuration.load()
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


def test_an_environment_that_is_not_named_lists_those_that_are(written: Path) -> None:
    with pytest.raises(SettingsError, match=r"no environment 'paradise'.*It names: staging, production"):
        configuration.load().environment("paradise")


def test_a_variable_wins_over_the_platform_and_that_over_the_file(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration.platform_file().parent.mkdir()
    configuration.platform_file().write_text('[registry]\naddress = "platform:1"\nrepository = "platform"\n')
    monkeypatch.setenv("SLIPWAY_REGISTRY__ADDRESS", "variable:1")
    registry = configuration.load().registry
    assert (registry.address, registry.repository) == ("variable:1", "platform")
    assert registry.credentials == "slipway-registry"


def test_a_wrong_variable_is_named(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_APP__PORT", "many")
    with pytest.raises(SettingsError, match=r"SLIPWAY_APP__PORT.*'app.port' is \"many\""):
        configuration.load()


@pytest.mark.parametrize("name", ["SLIPWAY_TIMEZONE", "SLIPWAY_REGISTRY"])
def test_a_wrong_variable_of_a_key_outside_tables_or_of_a_whole_one_is_named(
    written: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, '{"address": 1}')
    with pytest.raises(SettingsError, match=rf"\(with {name}\): key"):
        configuration.load()


def test_a_variable_that_is_no_setting_is_not_blamed(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.TOKEN, "secret")
    spoil(written, "port = 8000", 'port = "many"')
    with pytest.raises(SettingsError) as refused:
        configuration.load()
    assert environment.TOKEN not in str(refused.value)


def keys(table: type[BaseModel], name: str = "") -> Iterator[tuple[str, str]]:
    """Each key of the model, with the table of slipway.toml that it is in; an inline one is in its parent."""
    for key, field in table.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None or inner is Listener:
            yield name, key
        elif inner is Preprocessing:
            yield name, key
            yield from keys(inner, name)
        else:
            yield from keys(inner, f"{name}.{key}" if name else key)


def test_every_key_is_in_the_projects_own_file_in_its_table() -> None:
    file = (configuration.CHECKOUT / "slipway.toml").read_text()
    top, *rest = re.split(r"^(?:# )?\[([a-z.]+)\]", file, flags=re.MULTILINE)
    texts = {"": top}
    for table, text in zip(rest[::2], rest[1::2], strict=True):
        name = "environments" if table.startswith("environments.") else table
        texts[name] = texts.get(name, "") + text
    missing = [
        (table, key)
        for table, key in keys(configuration.Settings)
        if key != "environments" and not re.search(rf"\b{key} = ", texts[table])
    ]
    assert missing == []


def test_a_night_at_a_time_that_its_zone_leaves_out_at_midnight_is_refused(written: Path) -> None:
    spoil(written, 'timezone = "Europe/Berlin"', 'timezone = "America/Havana"')
    assert configuration.load().nights.zone.key == "America/Havana"
    spoil(written, 'nightly = "0 2', 'nightly = "0 0')
    with pytest.raises(SettingsError, match=r"a time that America/Havana leaves out on 20\d\d-03-"):
        configuration.load()
