"""The tables of slipway.toml, each with its keys, what they may hold, and what holds without them."""

from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from flows.core.model.manifest import Channels, Layout, Mode, PositiveChannels, Resample, Side
from flows.core.model.model import AWS, AZURE
from flows.core.trigger.crash import HEARTBEAT


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise ValueError("must be http(s)://host, with a port if it is not the usual one, and no path")
    return url.rstrip("/")


def _interface(url: str) -> str:
    parts = urlsplit(url)
    _ = parts.port  # which raises where it is no number
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an address such as https://github.example.org/api/v3")
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
    status_api: Annotated[str, AfterValidator(_interface)] | None = None
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

    mode: Mode = "RGB"
    shorter_side: Side | None = None
    crop: Side
    resample: Resample = "bicubic"
    mean: Channels
    std: PositiveChannels
    layout: Layout = "NCHW"


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
    push_timeout: PositiveFloat = 1800
    """Seconds for the push of one image."""


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
    """When a flow run is lost: seconds without a heartbeat.

    Longer than two are apart, or a single one that is late is a crash. With at most 20 s until Prefect
    notices and has marked the run, it has crashed within two minutes.
    """

    lost_after: Annotated[float, Field(gt=2 * HEARTBEAT, le=100)] = 90

    begin_within: Annotated[float, Field(ge=30)] = 120
    """Seconds from when a worker took a run to the start of its process, after which it has crashed."""

    lease: Annotated[int, Field(ge=3)] = 15
    """Seconds without a renewal after which the next run may take an environment's lock over."""

    api_timeout: PositiveFloat = 10
    """Seconds that the Kubernetes API server may take for one answer."""

    api_patience: NonNegativeFloat = 120
    """Seconds for which a rollout and a soak wait for an API server that is away."""


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


class Listener(Section):
    """Where the embedded platform's edge serves an environment."""

    port: Port
    """On 127.0.0.1."""
    node_port: Annotated[int, Field(ge=30000, le=32667)]
    """Of the environment's Service, as its overlay sets it; its health check is 100 above."""


class Embedded(Section):
    """Name and loopback ports of the platform that `make run` brings up."""

    name: DnsLabel = "slipway"
    app_port: Port = 8080
    staging_port: Port = 8081
    listeners: dict[DnsLabel, Listener] = {}
    """Of environments other than production and staging, by name."""
    dns_port: Port = 8053
    prefect_port: Port = 4200
    database_port: Port = 15432
    registry_port: Port = 5001
    blob_store_port: Port = 10000
    hooks_port: Port = 4280
    kubernetes_port: Port = 6443
