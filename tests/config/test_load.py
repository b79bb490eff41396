"""slipway.toml as people get it wrong, and what the error says."""

import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from flows.config import load as configuration
from flows.config.schema import Egress, GitHubApp, Listener, Preprocessing, Quota
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


def test_two_environments_in_one_namespace_are_refused(written: Path) -> None:
    spoil(written, 'namespace = "production"', 'namespace = "staging"')
    with pytest.raises(SettingsError, match=r"environments\.production has .* of environments\.staging"):
        configuration.load()
    spoil(
        written,
        'namespace = "staging"\noverlay = "production"',
        'namespace = "staging"\nkubeconfig = "/other"\noverlay = "production"',
    )
    assert configuration.load().environment("production").namespace == "staging"  # of another cluster


def test_one_namespace_of_two_clusters_of_aks_is_two_places(written: Path) -> None:
    def aks(environment: str, cluster: str) -> str:
        guid = "22222222-2222-2222-2222-222222222222"
        return (
            f'[environments.{environment}.aks]\nsubscription = "{guid}"\nresource_group = "rg"\n'
            f'cluster = "{cluster}"\n\n'
        )

    spoil(written, 'credentials = "slipway-staging"', 'login = "an-object-id"')
    spoil(written, 'credentials = "slipway-production"', 'login = "an-object-id"')
    spoil(written, 'namespace = "production"', 'namespace = "staging"')
    spoil(written, "[environments.production]", aks("staging", "one") + "[environments.production]")
    spoil(written, "[embedded]", aks("production", "two") + "[embedded]")
    assert configuration.load().environment("production").namespace == "staging"
    spoil(written, 'cluster = "two"', 'cluster = "one"')
    with pytest.raises(SettingsError, match=r"environments\.production has .* of environments\.staging"):
        configuration.load()


def test_a_login_and_a_block_contradict_each_other(written: Path) -> None:
    spoil(
        written, 'credentials = "slipway-staging"', 'credentials = "slipway-staging"\nlogin = "an-identity"'
    )
    with pytest.raises(SettingsError, match="with `login`, no `credentials` are used"):
        configuration.load()


def test_a_file_that_is_not_there_is_named(written: Path) -> None:
    written.unlink()
    with pytest.raises(SettingsError, match=rf"^There is no file {written}\. Create it"):
        configuration.load()


def test_the_projects_own_file_is_valid(written: Path) -> None:
    assert configuration.load().environment("production").replicas == 3


@pytest.mark.parametrize(
    ("before", "after", "message"),
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
            "key 'schedule.nightly' is \"2 * * *\": must have five fields",
        ),
        ("catch_up = 4", "catch_up = 0", "key 'schedule.catch_up' is 0"),
        ("interval = 60", "interval = 0", "key 'watch.interval' is 0"),
        ('repository = "."', 'repository = "https://me:pw@example.org/a"', "must hold no password"),
    ],
)
def test_what_is_wrong_is_reported_with_file_key_and_what_is_allowed(
    written: Path, before: str, after: str, message: str
) -> None:
    spoil(written, before, after)
    with pytest.raises(SettingsError) as refused:
        configuration.load()
    assert message in str(refused.value)
    assert str(written) in str(refused.value)
    assert str(refused.value).endswith(configuration.CORRECT)


TOKENS = [
    "ghp_" + "aB3" * 12,
    "github_pat_11" + "A" * 60,
    "glpat-" + "x1" * 10,
    "0123456789abcdef" * 2 + "01234567",
    "a2c4" * 13,
    "gh%70_" + "aB3" * 12,
]


@pytest.mark.parametrize("key", ['repository = "."', '# repository = "https://github.com/acme/app"'])
@pytest.mark.parametrize("login", [*TOKENS, *(f"{token}:" for token in TOKENS)])
def test_a_token_in_a_repositorys_url_is_refused_and_in_no_traceback(
    written: Path, key: str, login: str
) -> None:
    spoil(written, key, f'repository = "https://{login}@github.com/acme/app.git"')
    with pytest.raises(
        SettingsError, match=r"must hold no (token|password): put it into a Secret block"
    ) as refused:
        configuration.load()
    assert login not in "".join(traceback.format_exception(refused.value))


def test_a_login_in_a_proxys_address_is_refused_and_in_no_traceback(written: Path) -> None:
    spoil(written, "timezone = ", 'network.proxy = "http://user:s3cret@proxy.example.org"\ntimezone = ')
    with pytest.raises(SettingsError, match=r"must hold no user and password.*`proxy_login`") as refused:
        configuration.load()
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("host", ["*.example.org", "a, b"])
def test_a_host_without_a_proxy_that_some_clients_do_not_understand_is_refused(
    written: Path, host: str
) -> None:
    spoil(written, "timezone = ", f'network.no_proxy = ["{host}"]\ntimezone = ')
    with pytest.raises(SettingsError, match=r"must be a host, or \.example\.org for all hosts below it"):
        configuration.load()


@pytest.mark.parametrize(
    "url",
    [
        "https://acme@dev.azure.com/acme/shop/_git/app",
        "https://ghost-writer_1234567890@github.com/acme/app",
        "https://a-team-with-a-name-of-more-than-30-letters@example.org/a",
        "ssh://git@github.com/acme/app",
        "git@github.com:acme/app",
    ],
)
def test_a_user_in_a_repositorys_url_stays(written: Path, url: str) -> None:
    spoil(written, 'repository = "."', f'repository = "{url}"')
    assert configuration.load().source.repository == url


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


def test_probes_are_at_the_apps_port_unless_they_have_their_own(written: Path) -> None:
    assert configuration.load().app.probed_at == 8001
    spoil(written, "probe_port = 8001 ", "# ")
    assert configuration.load().app.probed_at == 8000


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
    """Each key of the model, but for old ones, with the table of slipway.toml that it is in; an inline one is
    in its parent."""
    for key, field in table.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if field.json_schema_extra == {"deprecated": True}:
            continue
        if inner is None or inner is Listener:
            yield name, key
        elif inner in {Preprocessing, Egress, Quota, GitHubApp}:
            yield name, key
            yield from keys(inner, name)
        else:
            yield from keys(inner, f"{name}.{key}" if name else key)


def test_every_key_is_in_the_projects_own_file_in_its_table() -> None:
    file = (configuration.CHECKOUT / "slipway.toml").read_text()
    top, *rest = re.split(r"^(?:# )?\[([a-z.]+)\]", file, flags=re.MULTILINE)
    texts = {"": top}
    for table, text in zip(rest[::2], rest[1::2], strict=True):
        name = re.sub(r"^environments\.[a-z]+", "environments", table)
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


def test_a_state_folder_that_another_user_could_have_filled_is_refused(written: Path) -> None:
    state = configuration.state_folder()
    state.mkdir()
    state.chmod(0o777)
    with pytest.raises(SettingsError, match=rf"{state} may be written by every user"):
        configuration.load()


STORE, RESULTS = 'store = "az://models"', 'store = "az://slipway-results"'


@pytest.mark.parametrize(
    ("before", "after", "address", "change"),
    [
        (STORE, 'container = "ours"', "az://ours", 'container in [model] .* write store = "az://ours"'),
        (
            f"{STORE}                       # or az://<account>/<container>, s3://<bucket>, file:///<folder>\n"
            'credentials = "slipway-blob-store"',
            'container = "ours"\ncredentials = "aws-credentials/acme"',
            "s3://ours",
            'write store = "s3://ours"',
        ),
    ],
)
def test_an_old_key_of_the_model_is_read_and_its_new_line_shown(
    written: Path, before: str, after: str, address: str, change: str
) -> None:
    assert configuration.load().old_keys == []
    spoil(written, before, after)
    settings = configuration.load()
    assert str(settings.model.address) == address
    (shown,) = settings.old_keys
    assert re.search(change.replace("[", r"\["), shown)


@pytest.mark.parametrize(
    ("storage", "change"),
    [
        ("local-file-system/ours", 'write store = "file:///<basepath of the block ours>"'),
        (
            "azure-blob-storage-container/ours",
            'write store = "az://<container of the block ours>", credentials = "<its credentials>"',
        ),
    ],
)
def test_an_old_key_of_the_results_is_read_and_its_new_line_shown(
    written: Path, storage: str, change: str
) -> None:
    spoil(written, RESULTS, f'storage = "{storage}"')
    settings = configuration.load()
    assert settings.results.storage == storage
    assert settings.old_keys == [f"storage in [results] has another name by now: {change}."]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (STORE, f'{STORE}\ncontainer = "models"', "must have either `store` or `container`"),
        (RESULTS, f'{RESULTS}\nstorage = "local-file-system/a"', "must have either `store` or `storage`"),
        (
            'credentials = "slipway-blob-store"',
            "",
            "az://models names no storage account: write az://<account>/m",
        ),
        (STORE, 'store = "s3://models"', "must not name a block of type azure-blob-storage-credentials"),
        (
            STORE,
            'store = "file:///srv/models"',
            "must not name a block of type azure-blob-storage-credentials",
        ),
        (STORE, 'store = "models"', "must be az://<container>, az://<account>/<container>, s3://<bucket> or"),
        (
            RESULTS,
            'store = "https://a"',
            "must be az://<container>, az://<account>/<container>, s3://<bucket> or",
        ),
    ],
)
def test_a_store_that_cannot_be_meant_is_refused(
    written: Path, before: str, after: str, message: str
) -> None:
    spoil(written, before, after)
    with pytest.raises(SettingsError, match=re.escape(message)):
        configuration.load()


def test_a_signature_in_the_address_of_a_store_is_not_shown(written: Path) -> None:
    spoil(written, STORE, 'store = "az://acme/models?sv=2024-08-04&sig=s3cret"')
    with pytest.raises(SettingsError, match="with neither keys nor a signature") as refused:
        configuration.load()
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))
