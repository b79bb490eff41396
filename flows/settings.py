"""slipway.toml, what the embedded platform adds, and SLIPWAY_* variables, as one frozen `Settings`.

Later sources win: slipway.toml (SLIPWAY_CONFIG names another file), then `platform.toml` in the state folder
(SLIPWAY_STATE, `.slipway` by default), then the environment (`SLIPWAY_REGISTRY__ADDRESS=...`). Secrets are in
none of them: the `credentials` keys name Prefect blocks.
"""

import os
import tomllib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from flows.core.errors import SettingsError
from flows.core.model import AWS, AZURE
from flows.core.night import Nights, date_without_night

CHECKOUT = Path(__file__).resolve().parent.parent
EMBEDDED = "embedded"
"""The kubeconfig context that stands for the cluster of the embedded platform."""

EVERY = "every"
"""Asked for in place of one environment: each in turn, as the night does."""


def _time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("must be a time zone such as Europe/Berlin or UTC")
    return name


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise ValueError("must be http(s)://host, with a port if it is not the usual one, and no path")
    return url.rstrip("/")


def _socket_address(address: str) -> str:
    parts = urlsplit(f"//{address}")
    try:
        ip_address(parts.hostname or "")
        _ = parts.port
    except ValueError:
        raise ValueError("must be an IP address (IPv6 in brackets), with :port if it is not 53") from None
    return address


Port = Annotated[int, Field(ge=1, le=65535)]
StorageBlock = Annotated[str, Field(pattern=r"^(azure-blob-storage-container|local-file-system)/[a-z0-9-]+$")]
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class Section(BaseModel):
    """A table of slipway.toml: unknown keys are refused, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _without_password(repository: str) -> str:
    if "://" in repository and urlsplit(repository).password:
        raise ValueError("must hold no password: put it into a Secret block, and name that at `credentials`")
    return repository


class Source(Section):
    """Where commits come from; `credentials` names a Secret block that holds a token."""

    repository: Annotated[str, AfterValidator(_without_password)]
    branches: tuple[str, ...] = ()
    """Patterns (fnmatch) of the branches whose commits are built by themselves, beside the released one."""
    released_branch: str = "main"
    """The one whose commits move `latest`."""
    credentials: str | None = None
    status: Literal["github", "azure-repos", "none"] | None = None
    """Who is told how a commit's run went; None: as the repository's host says."""
    status_api: str | None = None
    """Address of that interface where it is not the provider's own, as of a GitHub Enterprise server."""
    status_credentials: str | None = None
    """The Secret block with a token that may write statuses; None: that of `credentials`."""


class App(Section):
    """What is built, and how long its tests, its start and its stop may take (seconds)."""

    name: DnsLabel
    dockerfile: str = "Dockerfile"
    context: tuple[str, ...]
    manifests: Path = Path("deployments/kubernetes")
    """The kustomize base and overlays: a path, in the checkout where it is relative."""
    base_image: str
    port: Port = 8000
    test_timeout: PositiveInt = 300
    ready_timeout: PositiveInt = 30
    stop_timeout: PositiveInt = 15


class Preprocessing(Section):
    """How a picture becomes the model's input; the same keys as in a manifest."""

    mode: Literal["RGB", "L"] = "RGB"
    shorter_side: PositiveInt | None = None
    crop: PositiveInt
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    mean: tuple[float, ...]
    std: tuple[PositiveFloat, ...]
    layout: Literal["NCHW", "NHWC", "flat"] = "NCHW"


class PlainModel(Section):
    """What a manifest would say, for model files that come without one."""

    labels: Path
    preprocessing: Preprocessing
    activation: Literal["softmax", "none"] = "softmax"


class ModelSettings(Section):
    """Which model, and the container it is published to."""

    name: DnsLabel
    container: str = "models"
    """Of an Azure storage account; a bucket, where the block is one of AWS."""
    credentials: Annotated[str, Field(pattern=rf"^(({AZURE}|{AWS})/)?[-a-z0-9]+$")]
    """The block, as `<type>/<name>`; a name alone is one of Azure."""
    plain: PlainModel | None = None

    @property
    def block(self) -> tuple[str, str]:
        """Type and name of the block."""
        kind, _, name = self.credentials.rpartition("/")
        return kind or AZURE, name


class Registry(Section):
    """Where images are pushed to: `address` without a scheme, as in an image's name."""

    address: str
    repository: str
    credentials: str
    insecure: bool = False
    """Plain HTTP, as on the embedded platform; never across a network."""


class Engine(Section):
    """The container engine that builds and tries out images."""

    credentials: str


class Results(Section):
    """Where it is remembered which capsules' tests passed."""

    storage: StorageBlock | None = None
    """The storage block, as type/name; None: this machine's state folder."""


class Hooks(Section):
    """Where pushes are announced: the names of Secret blocks, and whose pushes count."""

    github: str = "slipway-github-hook"
    """The secret that GitHub signs its deliveries with."""
    azure_devops: str = "slipway-azure-devops-hook"
    """What Azure DevOps signs in with, as user:password."""
    repository: str | None = None
    """The provider's URL of it, where [source] repository is another address, as that of a mirror."""


class Watch(Section):
    """How often (seconds) what is wanted is compared with what is built, and what builds it."""

    interval: PositiveFloat = 60
    deployment: str = "ci/commit"


class Runs(Section):
    """When a flow run is lost: seconds without a heartbeat, of which prefect.yaml asks for one every 30."""

    lost_after: Annotated[float, Field(ge=10)] = 90


class Notifications(Section):
    """Who hears of what went wrong, or waits for a person; None: nobody."""

    block: Annotated[str, Field(pattern=r"^[-a-z0-9]+/[-a-z0-9]+$")] | None = None
    """Type and name of a Prefect block, as in its URL: slack-webhook/ops."""


def _cron(expression: str) -> str:
    try:
        next(CronSim(expression, datetime(2026, 1, 1)))
    except (CronSimError, StopIteration):
        raise ValueError("must be a cron expression such as 0 2 * * *") from None
    return expression


Cron = Annotated[str, AfterValidator(_cron)]


class Schedule(Section):
    """When what starts by itself, as cron expressions in the project's time zone."""

    nightly: Cron = "0 2 * * *"
    nightly_by: Cron = "0 4 * * *"
    """When the night has to have an outcome; if it has none, that is told."""
    catch_up: PositiveFloat = 4
    """Hours for which a night that was missed is caught up with."""


class Housekeeping(Section):
    """What is kept of the past; in days, but for `keep`."""

    runs: PositiveFloat = 30
    """Prefect's flow runs with their logs, and JUnit reports."""
    images: PositiveFloat = 14
    """Images that nothing names, and what is remembered of tests."""
    keep: NonNegativeInt = 10
    """The newest images of the registry, however old."""
    cache: PositiveFloat = 14
    """Models and mirrors on this machine that no run has used."""


class Environment(Section):
    """A place where a release is live. Durations are in seconds, but for `bake`: minutes."""

    context: str
    kubeconfig: Path | None = None
    credentials: str | None = None
    """The Secret block with the kubeconfig of the account that releases; without one, `context` is used."""
    namespace: DnsLabel
    overlay: str
    public_url: Annotated[str, AfterValidator(_web_address)]
    resolver: Annotated[str, AfterValidator(_socket_address)] | None = None
    """The DNS server that `public_url` is looked up at; None: this machine's own."""
    load_balancer: tuple[IPvAnyAddress, ...] = ()
    """What the name has to resolve to; empty: the addresses that the Service reports."""
    replicas: PositiveInt = 3
    promotes_from: DnsLabel | None = None
    bake: NonNegativeInt = 0
    approval: bool = False
    approval_timeout: PositiveInt = 8 * 3600
    lock_wait: NonNegativeInt = 600
    rollout_timeout: PositiveInt = 120
    soak: NonNegativeInt = 30
    slower_than: PositiveFloat = 3.0
    """How many times the outgoing release's median answer time the new one's may be."""


class Embedded(Section):
    """Name and loopback ports of the platform that `make run` brings up."""

    name: DnsLabel = "slipway"
    app_port: Port = 8080
    staging_port: Port = 8081
    dns_port: Port = 8053
    prefect_port: Port = 4200
    registry_port: Port = 5001
    blob_store_port: Port = 10000
    hooks_port: Port = 4280
    kubernetes_port: Port = 6443


class Settings(BaseSettings):
    """Everything the flows and the platform need to know, once."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="SLIPWAY_", env_nested_delimiter="__"
    )

    timezone: Annotated[str, AfterValidator(_time_zone)]
    source: Source
    app: App
    model: ModelSettings
    registry: Registry
    engine: Engine
    results: Results = Results()
    schedule: Schedule = Schedule()
    hooks: Hooks = Hooks()
    watch: Watch = Watch()
    runs: Runs = Runs()
    notifications: Notifications = Notifications()
    housekeeping: Housekeeping = Housekeeping()
    environments: dict[DnsLabel, Environment] = Field(min_length=1)
    embedded: Embedded = Embedded()
    kubectl: str = "kubectl"
    """The program; the embedded platform names its own."""

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

    def environment(self, name: str) -> Environment:
        """The environment of that name; `SettingsError` lists those there are."""
        if name not in self.environments:
            known = ", ".join(self.environments)
            raise SettingsError(
                f"There is no environment {name!r} in {config_file()}.",
                f"It names: {known}. Choose one of them, or add [environments.{name}].",
            )
        return self.environments[name]

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
        """Variables over platform.toml over slipway.toml; the rest of pydantic's sources stay out."""
        return (
            env_settings,
            TomlConfigSettingsSource(settings_cls, platform_file()),
            TomlConfigSettingsSource(settings_cls, config_file()),
        )


def config_file() -> Path:
    """slipway.toml of this checkout, or the file that SLIPWAY_CONFIG names."""
    return Path(os.environ.get("SLIPWAY_CONFIG", CHECKOUT / "slipway.toml")).absolute()


def state_folder() -> Path:
    """What a machine keeps between runs and git ignores: SLIPWAY_STATE, or `.slipway` in the checkout."""
    return Path(os.environ.get("SLIPWAY_STATE", CHECKOUT / ".slipway")).absolute()


def platform_file() -> Path:
    """What the embedded platform adds to slipway.toml while it is set up; there may be none."""
    return state_folder() / "platform.toml"


S = TypeVar("S", bound=Settings)


def load() -> Settings:
    """The settings in force; `SettingsError` names the file, each wrong key and what is allowed."""
    return load_as(Settings)


def load_as(kind: type[S]) -> S:
    """As `load`, for a subclass with other sources."""
    try:
        return kind()
    except ValidationError as error:
        complaints = "; ".join(_complaint(dict(detail)) for detail in error.errors())
        raise SettingsError(f"{_origin()}: {complaints}.", "Nothing was started.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{_origin()} is not valid TOML: {error}.", "Nothing was started.") from None


def _origin() -> str:
    variables = sorted(name for name in os.environ if name.startswith("SLIPWAY_") and "__" in name)
    return str(config_file()) + (f" (with {', '.join(variables)})" if variables else "")


def _complaint(detail: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key {path!r}; allowed here: {', '.join(_siblings(detail['loc']))}"
        case "missing":
            return f"key {path!r} is missing"
        case "too_short" if path == "environments":
            return "no environment is named; add at least one table [environments.<name>]"
        case "value_error" if path == "source.repository":
            return (
                f"key {path!r} {detail['msg'].removeprefix('Value error, ')}"  # without the value: a secret
            )
        case "value_error" if not path:
            return str(detail["msg"]).removeprefix("Value error, ")
        case _:
            return f"key {path!r} is {detail['input']!r}: {detail['msg'].removeprefix('Value error, ')}"


def _siblings(location: tuple[Any, ...]) -> list[str]:
    """The keys allowed in the table that holds the last part of `location`."""
    table: type[BaseModel] = Settings
    for part in location[:-1]:
        if part not in table.model_fields:
            continue  # the name of an environment, not a key
        kind = table.model_fields[part].annotation
        choices = [kind, *get_args(kind)]
        table = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
    return list(table.model_fields)
