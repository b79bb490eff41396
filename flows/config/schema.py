"""The tables of slipway.toml: each key with its type, its default and its meaning.

The text below a key is its description in docs/configuration.md, which flows/config/reference.py writes.
"""

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
    except ValueError as error:
        raise ValueError("must be an IP address (IPv6 in brackets), with :port if it is not 53") from error
    return address


Port = Annotated[int, Field(ge=1, le=65535)]
StorageBlock = Annotated[str, Field(pattern=r"^(azure-blob-storage-container|local-file-system)/[a-z0-9-]+$")]
DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class Section(BaseModel):
    """A table of slipway.toml: unknown keys are refused, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _without_password(repository: str) -> str:
    if "://" in repository and urlsplit(repository).password:
        raise ValueError("must hold no password: put it into a Secret block, and name that at `credentials`")
    return repository


class Source(Section):
    """Where commits come from."""

    repository: Annotated[str, AfterValidator(_without_password)]
    """A path, or a URL that git understands. It must contain no password."""
    branches: tuple[str, ...] = ()
    """Patterns (as in a shell) of further branches whose commits are built automatically."""
    released_branch: str = "main"
    """The branch whose commits move `latest`."""
    credentials: str | None = None
    """Secret block with a token, for a private URL."""
    status: Literal["github", "azure-repos", "none"] | None = None
    """Where commit statuses are sent. Not set: Slipway reads it from the repository's host."""
    status_api: Annotated[str, AfterValidator(_interface)] | None = None
    """Address of the status API of your own server, such as GitHub Enterprise."""
    status_credentials: str | None = None
    """Secret block with a token that may write statuses. Not set: `credentials`."""


class AppTests(Section):
    """What the test stage's container may do: by default it has no network, and writes to /tmp and /reports.

    More is for commits of the released branch alone.
    """

    writable: tuple[Annotated[str, Field(pattern=r"^/[^:]+$")], ...] = ()
    """Folders that the tests may write to. In the image, they belong to user 10001."""
    network: bool = False
    """Whether the tests reach the network."""
    memory: Annotated[int, Field(ge=64)] = 4096
    """Megabytes that the container of the tests, and that of the smoke test, may take, on every branch."""


class App(Section):
    """What to build, and how long its tests, its start and its stop may take."""

    name: DnsLabel
    """Name of the Deployment and of the other Kubernetes objects."""
    dockerfile: str = "Dockerfile"
    """Path of the Dockerfile in the repository."""
    context: tuple[str, ...]
    """Files and folders that enter the image or its test stage. Nothing else does."""
    manifests: Path = Path("deployments/kubernetes")
    """Folder of the kustomize base and overlays. A relative path starts at the checkout."""
    base_image: str
    """The image that the Dockerfile gets as BASE_IMAGE, by digest."""
    port: Port = 8000
    """The port on which the app serves HTTP."""
    test_timeout: PositiveInt = 300
    """Seconds for the whole test stage."""
    ready_timeout: PositiveInt = 30
    """Seconds from the container's start until it is ready."""
    stop_timeout: PositiveInt = 15
    """Seconds from SIGTERM to the container's exit."""
    tests: AppTests = AppTests()
    """What the test stage may do."""


class Preprocessing(Section):
    """How a picture becomes the model's input; the same keys as in a manifest."""

    mode: Mode = "RGB"
    """Colour or grey."""
    shorter_side: Side | None = None
    """Pixels to which the shorter side is scaled before the crop. Not set: the whole picture is used."""
    crop: Side
    """Side of the square that is cut from the centre, in pixels."""
    resample: Resample = "bicubic"
    """Filter of the scaling."""
    mean: Channels
    """Subtracted from the values 0 to 255; one value, or one for each channel."""
    std: PositiveChannels
    """Divisor after the subtraction; one value, or one for each channel."""
    layout: Layout = "NCHW"
    """Order of the input's dimensions."""


class PlainModel(Section):
    """Replaces the manifest, for model files without one."""

    labels: Path
    """File with one label on each line, in the order of the model's outputs."""
    preprocessing: Preprocessing
    """How a picture becomes the model's input."""
    activation: Literal["softmax", "none"] = "softmax"
    """Applied to the outputs; "none" if the model applies it itself."""


class ModelSettings(Section):
    """Which model to use, and the store that it is published to."""

    name: DnsLabel
    """Name of the model."""
    container: str = "models"
    """Container of an Azure storage account, or a bucket if the block is one of AWS."""
    credentials: Annotated[str, Field(pattern=rf"^(({AZURE}|{AWS})/)?[-a-z0-9]+$")]
    """Block of the store, as `<type>/<name>`. A name alone is an AzureBlobStorageCredentials block."""
    plain: PlainModel | None = None
    """For model files without a manifest: the table [model.plain]."""

    @property
    def block(self) -> tuple[str, str]:
        """Type and name of the block."""
        kind, _, name = self.credentials.rpartition("/")
        return kind or AZURE, name


class Registry(Section):
    """Where images are pushed to."""

    address: str
    """Host and port without a scheme, as in an image's name: `myteam.azurecr.io`."""
    repository: str
    """Repository in that registry."""
    credentials: str
    """DockerRegistryCredentials block."""
    insecure: bool = False
    """Use plain HTTP, as on the embedded platform. Never use it across a network."""
    push_timeout: PositiveFloat = 1800
    """Seconds for the push of one image."""


class Engine(Section):
    """The container engine that builds images and tries them out."""

    credentials: str
    """DockerHost block."""


class Results(Section):
    """The cache of test results: which capsules passed their tests."""

    storage: StorageBlock | None = None
    """Storage block, as `<type>/<name>`. Not set: the state folder of this machine."""


class Hooks(Section):
    """Secrets of the webhooks, and the repository whose pushes count."""

    github: str = "slipway-github-hook"
    """Secret block with the secret that GitHub signs its deliveries with."""
    azure_devops: str = "slipway-azure-devops-hook"
    """Secret block with the basic credentials of Azure DevOps, as user:password."""
    repository: str | None = None
    """The provider's URL of the repository, if `[source] repository` is a mirror of it."""


class Watch(Section):
    """The poller, which finds commits and models that are not built yet."""

    interval: PositiveFloat = 60
    """Seconds between two looks at branches and models."""
    deployment: str = "ci/commit"
    """Deployment that a new commit or model starts."""


class Runs(Section):
    """When a flow run counts as crashed, and how long it waits for the cluster."""

    lost_after: Annotated[float, Field(gt=2 * HEARTBEAT, le=100)] = 90
    """Seconds without a heartbeat after which a run is marked Crashed. Heartbeats come every 30 s; the limit
    is above two of them, so that one late heartbeat is no crash."""

    begin_within: Annotated[float, Field(ge=30)] = 120
    """Seconds from when a worker takes a run to the start of its process. Later, the run has crashed."""

    lease: Annotated[int, Field(ge=3)] = 15
    """Seconds without a renewal after which the next run may take over an environment's lock."""

    api_timeout: PositiveFloat = 10
    """Seconds for one answer of the Kubernetes API server."""

    api_patience: NonNegativeFloat = 120
    """Seconds for which a rollout and a soak wait for an unreachable API server."""

    recover: Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")] = "recover/on-demand"
    """Deployment that a cancelled release starts, which proves what was restored."""


class Notifications(Section):
    """Where notifications go: failures, crashes, a missing night, a release that waits for approval."""

    block: Annotated[str, Field(pattern=r"^[-a-z0-9]+/[-a-z0-9]+$")] | None = None
    """Prefect block, as `<type>/<name>`: `slack-webhook/ops`. Not set: no notifications."""


def _cron(expression: str) -> str:
    try:
        next(CronSim(expression, datetime(2026, 1, 1)))
    except (CronSimError, StopIteration) as error:
        raise ValueError("must be a cron expression such as 0 2 * * *") from error
    return expression


Cron = Annotated[str, AfterValidator(_cron)]


class Schedule(Section):
    """When the nightly release runs; cron expressions in the project's time zone."""

    nightly: Cron = "0 2 * * *"
    """When the nightly release starts."""
    nightly_by: Cron = "0 4 * * *"
    """When the night must have an outcome. Without one, a notification is sent."""
    catch_up: PositiveFloat = 4
    """Hours for which a missed night is caught up."""


class Housekeeping(Section):
    """How long things are kept, in days; except `keep`."""

    runs: PositiveFloat = 30
    """Days for flow runs with their logs, and for JUnit reports."""
    images: PositiveFloat = 14
    """Days for images that no release, quarantine, replica or `latest` names, and for cached test results."""
    keep: NonNegativeInt = 10
    """Number of the registry's newest images that are kept, however old they are."""
    cache: PositiveFloat = 14
    """Days for models and git mirrors on the worker's machine since their last use."""


class Environment(Section):
    """A place where a release is live. The nightly release takes the environments from top to bottom."""

    context: str
    """Context of the kubeconfig, for administrators. "embedded" is the cluster of `make run`."""
    kubeconfig: Path | None = None
    """File that contains `context`. Not set: the file that kubectl uses."""
    credentials: str | None = None
    """Secret block with the kubeconfig of the account that releases. Not set: `context` is used."""
    namespace: DnsLabel
    """Namespace of the environment."""
    overlay: str
    """Folder below `overlays` of `[app] manifests`."""
    public_url: Annotated[str, AfterValidator(_web_address)]
    """Address that users use: http(s)://host, with a port if needed, without a path."""
    resolver: Annotated[str, AfterValidator(_socket_address)] | None = None
    """IP address of the DNS server for `public_url`, with :port if not 53. Not set: this machine's own."""
    load_balancer: tuple[IPvAnyAddress, ...] = ()
    """Addresses that the name must resolve to. Empty: the addresses that the Service reports."""
    replicas: PositiveInt = 3
    """Number of replicas."""
    promotes_from: DnsLabel | None = None
    """Environment above this one. Only images that are good there are released here."""
    bake: NonNegativeInt = 0
    """Minutes for which an image must have been good there."""
    approval: bool = False
    """Whether a person must approve each release."""
    approval_timeout: PositiveInt = 8 * 3600
    """Seconds for the approval."""
    lock_wait: NonNegativeInt = 600
    """Seconds that a second release waits for the first."""
    rollout_timeout: PositiveInt = 120
    """Seconds until all replicas must be ready."""
    soak: NonNegativeInt = 30
    """Seconds of watching restarts and 5xx answers before a release is good."""
    slower_than: PositiveFloat = 3.0
    """Limit for the median answer time, as a multiple of the outgoing release's. A slower release fails."""


class Listener(Section):
    """Ports at which the edge of the embedded platform serves a further environment."""

    port: Port
    """Port on 127.0.0.1."""
    node_port: Annotated[int, Field(ge=30000, le=32667)]
    """Node port of the environment's Service, as its overlay sets it. The health check port is 100 higher."""


class Embedded(Section):
    """Name and loopback ports of the platform that `make run` brings up."""

    name: DnsLabel = "slipway"
    """Name of the platform: of its containers, volumes and images."""
    app_port: Port = 8080
    """Port of production, through the edge."""
    staging_port: Port = 8081
    """Port of staging, through the edge."""
    listeners: dict[DnsLabel, Listener] = {}
    """Listeners of environments other than production and staging, by name."""
    dns_port: Port = 8053
    """Port of the DNS server that answers *.slipway.test."""
    prefect_port: Port = 4200
    """Port of Prefect's server and UI."""
    database_port: Port = 15432
    """Port of PostgreSQL, the database of Prefect's server."""
    registry_port: Port = 5001
    """Port of the registry."""
    blob_store_port: Port = 10000
    """Port of the blob store."""
    hooks_port: Port = 4280
    """Port of the receiver of webhooks."""
    kubernetes_port: Port = 6443
    """Port of the Kubernetes API server."""
