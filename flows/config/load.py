"""slipway.toml, what the embedded platform adds, and SLIPWAY_* variables, as one frozen `Settings`.

Later sources win: slipway.toml (SLIPWAY_CONFIG names another file), then `platform.toml` in the state folder
(SLIPWAY_STATE, `.slipway` by default), then the environment (`SLIPWAY_REGISTRY__ADDRESS=...`). Secrets are in
none of them: the `credentials` keys name Prefect blocks.
"""

import os
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Self, TypeVar, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from flows.config.schema import (
    App,
    Azure,
    DnsLabel,
    DuelSettings,
    Embedded,
    Engine,
    Environment,
    Hooks,
    Housekeeping,
    Manifests,
    ModelSettings,
    Network,
    Notifications,
    Registry,
    Results,
    Runs,
    Schedule,
    Source,
    Watch,
)
from flows.core.errors import SettingsError
from flows.core.night.schedule import Nights, date_without_night
from flows.core.text import Location, validation_message
from flows.services.process.files import require_own

CHECKOUT = Path(__file__).resolve().parents[2]
EMBEDDED = "embedded"
"""The kubeconfig context that stands for the cluster of the embedded platform."""

SIGN_IN = "prefect-sign-in"
"""Name of the file in the state folder with user and password of the platform's Prefect server."""

SECRET = (
    "network.proxy",
    "source.repository",
    "manifests.repository",
    "hooks.repository",
    "model.store",
    "results.store",
)
"""Keys whose wrong value may hold a password or a token."""

CORRECT = "Correct it, then run this again."
EVERY = "every"
"""Asked for in place of one environment: each in turn, as the night does."""


def _time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("must be a time zone such as Europe/Berlin or UTC")
    return name


def _at_least_one(environments: dict[str, Environment]) -> dict[str, Environment]:
    if not environments:
        raise ValueError("no environment is named; add at least one table [environments.<name>]")
    return environments


class Settings(BaseSettings):
    """Everything the flows and the platform need to know, once."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="SLIPWAY_",
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    timezone: Annotated[str, AfterValidator(_time_zone)]
    """Time zone of all schedules and of the dates of nights, such as `Europe/Berlin`."""
    network: Network = Network()
    azure: Azure = Azure()
    source: Source
    app: App
    manifests: Manifests = Manifests()
    model: ModelSettings
    registry: Registry
    engine: Engine
    results: Results = Results()
    duel: DuelSettings | None = None
    schedule: Schedule = Schedule()
    hooks: Hooks = Hooks()
    watch: Watch = Watch()
    runs: Runs = Runs()
    notifications: Notifications = Notifications()
    housekeeping: Housekeeping = Housekeeping()
    environments: Annotated[dict[DnsLabel, Environment], AfterValidator(_at_least_one)]
    """One table for each environment, in their order."""
    embedded: Embedded = Embedded()
    kubectl: str = "kubectl"
    """Path of kubectl, 1.27 or newer. The embedded platform brings its own."""

    @model_validator(mode="after")
    def _promotes_in_order(self) -> Self:
        earlier: list[str] = []
        for name, wanted in self.environments.items():
            if name == EVERY:
                raise ValueError(f"an environment can't be called {EVERY!r}, which stands for all of them")
            if wanted.promotes_from is not None and wanted.promotes_from not in earlier:
                raise ValueError(
                    f"environments.{name}.promotes_from is {wanted.promotes_from!r}; "
                    f"it must be one above it: {', '.join(earlier) or 'there is none, so leave it out'}"
                )
            earlier.append(name)
        return self

    @model_validator(mode="after")
    def _each_in_a_namespace_of_its_own(self) -> Self:
        places: dict[tuple[object, ...], str] = {}
        for name, wanted in self.environments.items():
            place = (wanted.kubeconfig, wanted.context, wanted.aks, wanted.namespace)
            where = wanted.context or (wanted.aks and wanted.aks.cluster)
            if (other := places.setdefault(place, name)) != name:
                raise ValueError(
                    f"environments.{name} has the context {where!r} and the namespace "
                    f"{wanted.namespace!r} of environments.{other}: they would share lock, records and "
                    "replicas; give it a namespace of its own"
                )
        return self

    @model_validator(mode="after")
    def _a_night_a_date(self) -> Self:
        cron = self.schedule.nightly
        date = date_without_night(cron, ZoneInfo(self.timezone), datetime.now(UTC).date())
        if date is not None:
            raise ValueError(
                f"schedule.nightly is {cron!r}, a time that {self.timezone} leaves out on {date}: the run "
                "would fall on the date before, which then has two; choose a later hour"
            )
        return self

    def environment(self, name: str) -> Environment:
        """The environment of that name; `SettingsError` lists those there are."""
        if name not in self.environments:
            known = ", ".join(self.environments)
            raise SettingsError(
                f"There is no environment {name!r} in {config_file()}.",
                f"It names: {known}. Choose one of them, or add [environments.{name}].",
            )
        return self.environments[name]

    @property
    def old_keys(self) -> list[str]:
        """What to write in place of each key that an earlier version took."""
        return [change for change in (self.model.old_key, self.results.old_key) if change]

    @property
    def nights(self) -> Nights:
        """When the nightly release is due."""
        return Nights(self.schedule.nightly, ZoneInfo(self.timezone), timedelta(hours=self.schedule.catch_up))

    @property
    def wants_embedded_cluster(self) -> bool:
        """Whether any environment lives on the platform's own cluster."""
        return any(environment.context == EMBEDDED for environment in self.environments.values())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over files, an earlier file over a later one. Pydantic reads no other source."""
        return env_settings, *(TomlConfigSettingsSource(settings_cls, file) for file in cls.files())

    @classmethod
    def files(cls) -> tuple[Path, ...]:
        """The files with settings, the one that wins first: platform.toml, then slipway.toml."""
        return platform_file(), config_file()


def config_file() -> Path:
    """slipway.toml of this checkout, or the file that SLIPWAY_CONFIG names."""
    return Path(os.environ.get("SLIPWAY_CONFIG", CHECKOUT / "slipway.toml")).absolute()


def state_folder() -> Path:
    """What a machine keeps between runs and git ignores: SLIPWAY_STATE, or `.slipway` in the checkout."""
    return Path(os.environ.get("SLIPWAY_STATE", CHECKOUT / ".slipway")).absolute()


def platform_file() -> Path:
    """What the embedded platform adds to slipway.toml while it is set up; there may be none."""
    return state_folder() / "platform.toml"


def sign_in_file() -> Path:
    """The file with user and password of the embedded platform's Prefect server: one line, user:password."""
    return state_folder() / SIGN_IN


S = TypeVar("S", bound=Settings)


def load() -> Settings:
    """The settings in force; `SettingsError` names the file, each wrong key and what is allowed."""
    return load_as(Settings)


def load_as(kind: type[S]) -> S:
    """As `load`, for a subclass with other sources.

    `SettingsError` also where another user may have written to the state folder.
    """
    require_own(state_folder())
    try:
        return kind()
    except ValidationError as error:
        if not config_file().is_file():
            raise SettingsError(
                f"There is no file {config_file()}.", "Create it, or correct SLIPWAY_CONFIG."
            ) from None
        wrong = validation_message(error, _siblings, secret=SECRET)
        # not chained: the cause's text quotes what was given, which may be a secret
        raise SettingsError(f"{_origin()}: {wrong}.", CORRECT) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{_origin()} is not valid TOML: {error}.", CORRECT) from error


def _origin() -> str:
    top_level = {f"SLIPWAY_{field.upper()}" for field in Settings.model_fields}
    variables = sorted(
        name for name in os.environ if name in top_level or (name.startswith("SLIPWAY_") and "__" in name)
    )
    return str(config_file()) + (f" (with {', '.join(variables)})" if variables else "")


def _siblings(location: Location) -> list[str]:
    """The keys allowed in the table that holds the last part of `location`."""
    table: type[BaseModel] = Settings
    for part in location[:-1]:
        if part not in table.model_fields:
            continue  # the name of an environment, not a key
        kind = table.model_fields[part].annotation
        choices = [kind, *get_args(kind)]
        table = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    return list(table.model_fields)
