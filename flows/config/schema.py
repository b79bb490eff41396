"""The tables of slipway.toml: each key with its type, its default and its meaning.

The text below a key is its description in docs/configuration.md, which flows/config/reference.py writes.
"""

import re
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    IPvAnyNetwork,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from flows.core.cron import RULE, dispute
from flows.core.duel.verdict import Margins, Verdict
from flows.core.model.manifest import Channels, Layout, Mode, PositiveChannels, Resample, Side
from flows.core.model.model import AWS, AZURE
from flows.core.model.store_address import StoreAddress
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
GUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
GUID_OR_DOMAIN = rf"{GUID}|^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
"""How Azure names directories and identities."""


KNOWN_HOST = r"^(@(cert-authority|revoked) )?\S+ (ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/]+=*( .*)?$"
"""A line of the file known_hosts: hosts, type of the key, the key (sshd(8), "SSH_KNOWN_HOSTS")."""

OLD_KEY = Field(None, json_schema_extra={"deprecated": True})
"""A key that earlier versions of Slipway took."""


class Section(BaseModel):
    """A table of slipway.toml: unknown keys are refused, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


TOKEN = re.compile(
    r"(?:gh[a-z]_|github_pat_|glpat-|gldt-|ATBB|ATCTT|ATATT)[\w=-]{10,}|(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9]{30,}"
)
"""How hosts' tokens look: by their beginning, or as thirty and more letters and digits."""


def _without_secret(repository: str) -> str:
    """A URL that says who, but not with which secret: `https://acme@dev.azure.com/…` is one."""
    parts = urlsplit(repository) if "://" in repository else None
    if parts and parts.password is not None:
        raise ValueError("must hold no password: put it into a Secret block, and name that at `credentials`")
    if parts and TOKEN.fullmatch(unquote(parts.username or "")):
        raise ValueError("must hold no token: put it into a Secret block, and name that at `credentials`")
    return repository


def _proxy(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise ValueError("must be http://host:port")
    if parts.username or parts.password:
        raise ValueError(
            "must hold no user and password: put them into a file, and name that at `proxy_login`"
        )
    return url.rstrip("/")


def _direct(host: str) -> str:
    if re.search(r"[\s,]", host) or ("*" in host and host != "*"):
        raise ValueError("must be a host, or .example.org for all hosts below it")
    return host


class Network(Section):
    """The way to all systems outside this machine: for every client of flows, triggers and commands."""

    proxy: Annotated[str, AfterValidator(_proxy)] | None = None
    """HTTP proxy, as `http://proxy.example.org:3128`. Not set: as HTTPS_PROXY and its like say."""
    proxy_login: Path | None = None
    """File with `user:password` for the proxy. Other users of the machine must not be able to read it."""
    no_proxy: tuple[Annotated[str, AfterValidator(_direct)], ...] = ()
    """Hosts that are reached without the proxy; `.example.org` means all below it. This machine always is."""
    ca_bundle: Path | None = None
    """File with certificate authorities (PEM) that are trusted beside those of the system."""

    @model_validator(mode="after")
    def _login_of_a_proxy(self) -> Self:
        if self.proxy_login is not None and self.proxy is None:
            raise ValueError("proxy_login is set, but proxy is not")
        return self


class Azure(Section):
    """As whom Slipway signs in at Azure. Exactly that identity is asked, and no other."""

    identity: Literal["workload", "managed", "service-principal", "azure-cli"] | None = None
    """"workload": the federated token of the pod or runner; "managed": the identity of the machine;
    "service-principal": an application with `credentials`; "azure-cli": the account of `az login` here."""
    tenant: Annotated[str, Field(pattern=GUID_OR_DOMAIN)] | None = None
    """Id or domain of the directory."""
    client_id: Annotated[str, Field(pattern=GUID)] | None = None
    """Application (client) id of the identity. With "managed", not set means the system-assigned one."""
    credentials: str | None = None
    """Secret block of the service principal: its client secret, or its certificate with the key, as PEM."""
    cloud: Literal["public", "us-government", "china"] = "public"
    """The cloud of Azure that the subscription is in."""
    authority: Annotated[str, AfterValidator(_web_address)] | None = None
    """Address of Entra ID, if it is not the cloud's."""
    resource_manager: Annotated[str, AfterValidator(_web_address)] | None = None
    """Address of Azure Resource Manager, if it is not the cloud's."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        wanted = {
            "service-principal": ("tenant", "client_id", "credentials"),
            "workload": ("tenant", "client_id"),
        }.get(self.identity or "", ())
        if lacking := [key for key in wanted if getattr(self, key) is None]:
            raise ValueError(f"identity {self.identity!r} needs also: {', '.join(lacking)}")
        if self.credentials and self.identity != "service-principal":
            raise ValueError('credentials belong to identity "service-principal" alone')
        return self


class GitHubApp(Section):
    """A GitHub App that is installed on the repository. Its tokens last an hour, for this repository."""

    client_id: Annotated[str, Field(pattern=r"^[\w.]+$")]
    """Client id of the App, or its App id."""
    credentials: str
    """Secret block with the App's private key (PEM)."""


SCP_LIKE = re.compile(r"[^/:]+@[^/:]+:(?!//)")
"""How an SSH URL without a scheme begins (git-clone(1), "GIT URLS")."""


class RepositoryAccess(Section):
    """A git repository, and as whom git asks for it: by at most one of these ways."""

    repository: Annotated[str, AfterValidator(_without_secret)] | None = None
    credentials: str | None = None
    """Secret block with a token, for a private URL."""
    login: Literal["azure"] | None = None
    """"azure": as the identity of [azure], at Azure Repos, instead of `credentials`."""
    github_app: GitHubApp | None = None
    """As a GitHub App, instead of `credentials`."""
    deploy_key: str | None = None
    """Secret block with the private key of a deploy key, without a passphrase, for an SSH URL."""
    known_hosts: tuple[Annotated[str, Field(pattern=KNOWN_HOST)], ...] = ()
    """Keys of the SSH host, as lines of the file known_hosts: `"github.com ssh-ed25519 AAAA…"`. Needed with
    `deploy_key`; a host with another key is refused."""

    @property
    def has_login(self) -> bool:
        """Whether one of the ways is set."""
        return bool(self._ways)

    @property
    def _ways(self) -> list[str]:
        return [way for way in ("credentials", "login", "github_app", "deploy_key") if getattr(self, way)]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if len(self._ways) > 1:
            raise ValueError(f"has several logins, and needs one: {', '.join(self._ways)}")
        if self.deploy_key and not self.known_hosts:
            raise ValueError(
                "`deploy_key` needs `known_hosts`: the keys of the host, which prove that it is that host"
            )
        if self.known_hosts and not self.deploy_key:
            raise ValueError("`known_hosts` belongs to `deploy_key`; without it, git uses this machine's SSH")
        return self

    @model_validator(mode="after")
    def _way_that_fits(self) -> Self:
        if self.repository is None:
            return self
        over_ssh = self.repository.startswith("ssh://") or SCP_LIKE.match(self.repository)
        if self.deploy_key and not over_ssh:
            raise ValueError("`deploy_key` needs an SSH URL: git@github.com:acme/app.git, or ssh://…")
        if (self.github_app or self.login) and not self.repository.startswith("https://"):
            raise ValueError("`github_app` and `login` need a URL that begins with https://")
        return self


class Source(RepositoryAccess):
    """Where commits come from."""

    repository: Annotated[str, AfterValidator(_without_secret)]
    """A path, or a URL that git understands. It must contain no password and no token."""
    branches: tuple[str, ...] = ()
    """Patterns (as in a shell) of further branches whose commits are built automatically."""
    released_branch: str = "main"
    """The branch whose commits move `latest`."""
    fetch_timeout: Annotated[int, Field(ge=1, le=3600)] = 300
    """Seconds for one fetch. The first fetches the whole repository, and starts again if it takes longer."""
    status: Literal["github", "azure-repos", "none"] | None = None
    """Where commit statuses are sent. Not set: Slipway reads it from the repository's host."""
    status_api: Annotated[str, AfterValidator(_interface)] | None = None
    """Address of the status API of your own server, such as GitHub Enterprise."""
    status_credentials: str | None = None
    """Secret block with a token that may write statuses. Not set: the login of the repository."""


def _in_repository(path: PurePosixPath) -> PurePosixPath:
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(
            "must be a folder of the repository, such as deployments/kubernetes: manifests come from git; "
            "name another repository at [manifests] repository"
        )
    return path


RepositoryFolder = Annotated[PurePosixPath, AfterValidator(_in_repository)]


class Manifests(RepositoryAccess):
    """The git repository of the Kubernetes manifests. Uncommitted files are not released. Without a login of
    its own, it has that of [source] if the repository is the same."""

    repository: Annotated[str, AfterValidator(_without_secret)] | None = None
    """A path, or a URL that git understands. Not set: `[source] repository`."""
    ref: str | None = None
    """Branch, tag or commit. The first environment takes what it names; each further environment takes what
    was released to the environment that it promotes from. Not set: `[source] released_branch`."""
    path: RepositoryFolder | None = None
    """Folder of the kustomize base and overlays; `.` is the whole repository. Not set: `[app] manifests`."""


class AppTests(Section):
    """What the test stage's container may do: by default it has no network, and writes to /tmp and /reports.

    More is for commits of the released branch alone.
    """

    writable: tuple[Annotated[str, Field(pattern=r"^/[^:]+$")], ...] = ()
    """Folders that the tests may write to. In the image, they belong to user 10001."""
    network: bool = False
    """Whether the tests reach the network."""
    memory: Annotated[int, Field(ge=64)] = 4096
    """Megabytes of memory for the container of the tests, and for that of the smoke test, on every branch."""


class App(Section):
    """What to build, and how long its tests, its start and its stop may take."""

    name: DnsLabel
    """Name of the Deployment and of the other Kubernetes objects."""
    dockerfile: str = "Dockerfile"
    """Path of the Dockerfile in the repository."""
    context: tuple[str, ...]
    """Files and folders that enter the image or its test stage. Nothing else does."""
    manifests: RepositoryFolder = PurePosixPath("deployments/kubernetes")
    """Folder of the kustomize base and overlays in the repository; see [manifests]."""
    base_image: str
    """The image that the Dockerfile gets as BASE_IMAGE, by digest. A new digest of a tag starts CI."""
    model_path: Annotated[str, Field(pattern=r"^((/[A-Za-z0-9_-][A-Za-z0-9._-]*)+)?$", max_length=80)] = ""
    """Folder in the image, such as `/model`, into which Slipway puts the model. A label in the Dockerfile
    marks its place, and a new model builds nothing. Not set: the Dockerfile copies `model/`."""
    platform: Annotated[str, Field(pattern=r"^linux/[a-z0-9]+$")] = "linux/amd64"
    """Operating system and architecture of the images, as the cluster's nodes have them. On a machine of
    another architecture, the engine needs an emulator."""
    port: Port = 8000
    """The port on which the app serves HTTP."""
    probe_port: Port | None = None
    """The port of `/readyz`, `/healthz` and `/metrics`. Not set: `port`."""
    test_timeout: PositiveInt = 300
    """Seconds for the whole test stage."""
    ready_timeout: PositiveInt = 30
    """Seconds from the container's start until it is ready."""
    stop_timeout: PositiveInt = 15
    """Seconds from SIGTERM to the container's exit."""
    tests: AppTests = AppTests()
    """What the test stage may do."""

    @property
    def probed_at(self) -> int:
        """The port of probes and metrics."""
        return self.probe_port or self.port


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


def _store_address(text: str) -> str:
    StoreAddress.parse(text)
    return text


class Store(Section):
    """A place for models or cached test results."""

    store: Annotated[str, AfterValidator(_store_address)] | None = None
    """Where it is: `az://<container>` in the storage account that the block names; `az://<account>/<container>`,
    also with the full host name of the account; `s3://<bucket>`; or `file:///<folder>`. All but the first may
    name a folder below."""
    credentials: Annotated[str, Field(pattern=rf"^(({AZURE}|{AWS})/)?[-a-z0-9]+$")] | None = None
    """Block of the store, as `<type>/<name>`. A name alone is an AzureBlobStorageCredentials block. Not set:
    Azure is signed in to as the identity of [azure], and S3 as AWS's own tools do on this machine."""

    @property
    def address(self) -> StoreAddress | None:
        """`store`, taken apart; None where it is not set."""
        return StoreAddress.parse(self.store) if self.store else None

    @property
    def block(self) -> tuple[str, str] | None:
        """Type and name of the block, if one is named."""
        if self.credentials is None:
            return None
        kind, _, name = self.credentials.rpartition("/")
        return kind or AZURE, name

    @property
    def old_key(self) -> str:
        """What to write in place of a key of earlier versions; "" where none is there."""
        return ""

    @model_validator(mode="after")
    def _fitting_credentials(self) -> Self:
        address, kind = self.address, self.block[0] if self.block else None
        if address is None:
            return self
        if address.kind == "az" and address.account is None and kind is None:
            raise ValueError(
                f"{address} names no storage account: write az://<account>/{address.container}, or name a "
                "block at `credentials`"
            )
        if kind is not None and kind != {"az": AZURE, "s3": AWS}.get(address.kind):
            raise ValueError(f"credentials must not name a block of type {kind} with {self.store}")
        return self


class ModelSettings(Store):
    """Which model to use, and the store that it is published to."""

    name: DnsLabel
    """Name of the model."""
    container: str | None = OLD_KEY
    """Container or bucket, as earlier versions of Slipway took it. Use `store`."""
    max_size: PositiveInt = 2048
    """Megabytes that a model file may have. A larger one is neither published nor fetched."""
    plain: PlainModel | None = None
    """For model files without a manifest: the table [model.plain]."""

    @property
    def address(self) -> StoreAddress:
        """Where models are, by whichever key says it."""
        named = super().address
        if named is None:
            kind = self.block[0] if self.block else AZURE
            named = StoreAddress("s3" if kind == AWS else "az", self.container or "models")
        return named

    @property
    def old_key(self) -> str:
        """What to write in place of `container`; "" where it is not there."""
        if self.container is None:
            return ""
        return f'container in [model] has another name by now: write store = "{self.address}".'

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        if self.store is not None and self.container is not None:
            raise ValueError("must have either `store` or `container`")
        return self

    @property
    def largest(self) -> int:
        """`max_size` in bytes."""
        return self.max_size << 20


class Registry(Section):
    """Where images are pushed to."""

    address: str
    """Host and port without a scheme, as in an image's name: `myteam.azurecr.io`."""
    repository: str
    """Repository in that registry."""
    login: Literal["azure", "aws", "docker"] | None = None
    """How to sign in. "azure": as the identity of [azure], at Azure Container Registry; "aws": as AWS's own
    tools do on this machine, at ECR; "docker": as docker on this machine is signed in, by its file or its
    credential helpers. Not set: by the block `credentials`."""
    credentials: str | None = None
    """DockerRegistryCredentials block of a login that may push. Needed if `login` is not set."""
    pull_credentials: Annotated[str, Field(pattern=r"^[-a-z0-9]*$")] = "slipway-registry-pull"
    """DockerRegistryCredentials block of a login that may pull and not push, for the nodes of clusters.
    Empty: the nodes have an identity of their own that the registry lets in."""
    pull_address: str | None = None
    """Host and port at which the nodes pull, if it is another one, such as a read-only mirror. The names of
    images begin with `address` nevertheless. Not set: `address`."""
    insecure: bool = False
    """Use plain HTTP, as on the embedded platform. Never use it across a network."""
    push_timeout: PositiveFloat = 1800
    """Seconds for the push of one image."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.login is None) == (self.credentials is None):
            raise ValueError("must have either `login` or `credentials`")
        return self


class DuelSettings(Section):
    """The duel: a new image and what is live are asked the golden set before `latest` moves. Without this
    table, there is none."""

    margin: Annotated[float, Field(gt=0, le=50)] = 2
    """Points of accuracy by which a new image may be worse. A smaller margin needs more examples."""
    latency_margin: Annotated[float, Field(ge=1)] = 1.15
    """How many times as long as what is live a new image may take to answer, by the median."""
    keep_latest: tuple[
        Literal["better", "not worse", "worse", "worse, but within the margin", "too few to tell", "slower"],
        ...,
    ] = ("worse", "slower")
    """Verdicts after which `latest` stays."""
    timeout: PositiveInt = 600
    """Seconds for asking both. What was asked until then counts."""

    @property
    def margins(self) -> Margins:
        """Both margins, as a share and as a ratio."""
        return Margins(accuracy=self.margin / 100, latency=self.latency_margin)

    @property
    def keeping(self) -> frozenset[Verdict]:
        """The verdicts after which `latest` stays."""
        return frozenset(map(Verdict, self.keep_latest))


class Engine(Section):
    """The container engine that builds images and tries them out."""

    credentials: str
    """DockerHost block."""


class Results(Store):
    """The cache of test results: which code passed its tests. Without `store`, the state folder of this
    machine has it."""

    storage: StorageBlock | None = OLD_KEY
    """Storage block, as earlier versions of Slipway took it. Use `store`."""
    secret: Annotated[str, Field(pattern=r"^[-a-z0-9]+$")] = "slipway-test-results"  # noqa: S105  # a block's name
    """Secret block with at least 16 random characters, which authenticates cached passes. Without the block,
    passed tests are not reused. All workers of a server share it."""

    @property
    def old_key(self) -> str:
        """What to write in place of `storage`; "" where it is not there."""
        kind, _, name = (self.storage or "").partition("/")
        if kind == "local-file-system":
            new = f'store = "file:///<basepath of the block {name}>"'
        else:
            new = f'store = "az://<container of the block {name}>", credentials = "<its credentials>"'
        return f"storage in [results] has another name by now: write {new}." if self.storage else ""

    @model_validator(mode="after")
    def _one_store(self) -> Self:
        if self.store is not None and self.storage is not None:
            raise ValueError("must have either `store` or `storage`")
        return self


class Hooks(Section):
    """Secrets of the webhooks, and the repository whose pushes count."""

    github: str = "slipway-github-hook"
    """Secret block with the secret that GitHub signs its deliveries with."""
    azure_devops: str = "slipway-azure-devops-hook"
    """Secret block with the basic credentials of Azure DevOps, as user:password."""
    repository: Annotated[str, AfterValidator(_without_secret)] | None = None
    """The provider's URL of the repository, if `[source] repository` is a mirror of it."""


class Watch(Section):
    """The poller, which finds commits, models and base images that are not built yet."""

    interval: PositiveFloat = 60
    """Seconds between two looks at branches and models. The base image is looked at once an hour."""
    deployment: str = "ci/commit"
    """Deployment that a new commit, model or base image starts."""


class Runs(Section):
    """When a flow run counts as crashed, and how long it waits for the cluster."""

    lost_after: Annotated[float, Field(gt=2 * HEARTBEAT, le=100)] = 90
    """Seconds without a heartbeat after which a run is marked Crashed. Heartbeats come every 30 s; the limit
    is above two of them, so that one late heartbeat is no crash."""

    begin_within: Annotated[float, Field(ge=30)] = 120
    """Seconds from when a worker takes a run to the start of its process. Later, the run has crashed."""

    lease: Annotated[int, Field(ge=3)] = 15
    """Seconds without a renewal after which the next run may take over an environment's lock."""

    api_timeout: Annotated[float, Field(gt=0, le=60)] = 10
    """Seconds for one answer of the Kubernetes API server."""

    api_patience: NonNegativeFloat = 120
    """Seconds for which a rollout and a soak wait for an unreachable API server."""

    recover: Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")] = "recover/on-demand"
    """Deployment that a cancelled release starts. It verifies what was restored."""


class Notifications(Section):
    """Where notifications go: failures, crashes, a missing night, a release that waits for approval."""

    block: Annotated[str, Field(pattern=r"^[-a-z0-9]+/[-a-z0-9]+$")] | None = None
    """Prefect block, as `<type>/<name>`: `slack-webhook/ops`. Not set: no notifications."""


def _cron(expression: str) -> str:
    if disputed := dispute(expression):
        raise ValueError(disputed)
    try:
        next(CronSim(expression, datetime(2026, 1, 1)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(RULE) from error
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
    """How long things are kept, in days, and how much of them."""

    runs: PositiveFloat = 30
    """Days for flow runs with their logs, for JUnit reports, and for reports of duels."""
    images: PositiveFloat = 14
    """Days for images that no release, quarantine, replica or `latest` names, and for cached test results."""
    keep: NonNegativeInt = 10
    """Number of the registry's newest images that are kept, however old they are."""
    cache: PositiveFloat = 14
    """Days for models and git mirrors on the worker's machine since their last use."""
    models: PositiveFloat = 20
    """Gigabytes of models on the worker's machine. After each run of ci, those used least recently go."""
    build_cache: PositiveFloat = 20
    """Gigabytes of the engine's build cache. After each run of ci, what was used least recently goes."""


def _image_pattern(entry: str) -> str:
    if not IMAGE_PATTERN.fullmatch(entry):
        raise ValueError(
            "must be an image's repository as manifests name it, with :tag or @sha256:… if it is to be that "
            "one alone; * is for part of a name or tag, and not for the registry"
        )
    return entry


IMAGE_PATTERN = re.compile(
    r"([a-z0-9._-]+(:[0-9]+)?(/[a-z0-9._*-]+)+|[a-z0-9._-]+)(:[A-Za-z0-9._*-]+|@sha256:[0-9a-f]{64})?"
)
ImagePattern = Annotated[str, AfterValidator(_image_pattern)]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kMGTPE]i?)?$")]


class Egress(Section):
    """A place that the pods of the environment may open connections to."""

    cidr: IPvAnyNetwork | None = None
    """Network of addresses: `10.1.2.0/24`, or `10.1.2.3/32`. A wider one never opens the address
    169.254.169.254, where clouds give a machine's identity."""
    namespace: DnsLabel | None = None
    """Namespace of the cluster, with all its pods, instead of `cidr`."""
    ports: tuple[Port, ...] = ()
    """Ports there. Empty: all."""
    protocol: Literal["TCP", "UDP"] = "TCP"
    """Protocol of `ports`."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.cidr is None) == (self.namespace is None):
            raise ValueError("must have either cidr or namespace")
        return self


class Quota(Section):
    """How much the environment may take of its cluster."""

    pods: PositiveInt = 50
    """Number of pods. A rollout needs twice the replicas, and what else runs in the namespace."""
    cpu: Quantity | None = None
    """Sum of the CPU that pods request, as Kubernetes writes it: `"20"`. Not set: no limit."""
    memory: Quantity | None = None
    """Sum of the memory that pods request: `"64Gi"`. Not set: no limit."""
    container_memory: Quantity = "16Gi"
    """Memory limit of a container that has none of its own, and the largest that it may have."""


class Aks(Section):
    """A cluster of Azure Kubernetes Service: its address comes from Azure, its token from [azure]."""

    subscription: Annotated[str, Field(pattern=GUID)]
    """Id of the subscription."""
    resource_group: Annotated[str, Field(pattern=r"^[-\w.()]{1,90}$")]
    """Resource group of the cluster."""
    cluster: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-\w]{0,62}$")]
    """Name of the cluster."""


class Environment(Section):
    """A place where a release is live. The nightly release takes the environments from top to bottom."""

    context: str | None = None
    """Context of the kubeconfig, for administrators. "embedded" is the cluster of `make run`. Needed without
    `aks`."""
    aks: Aks | None = None
    """The cluster of Azure Kubernetes Service, instead of `context`: the table [environments.<name>.aks]."""
    kubeconfig: Path | None = None
    """File that contains `context`. Not set: the file that kubectl uses."""
    credentials: str | None = None
    """Secret block with the kubeconfig of the account slipway-login. Not set: `context` is used."""
    login: Annotated[str, Field(min_length=1)] | None = None
    """User that may create tokens of the account slipway-release, by its name in the cluster: with `aks`, the
    object id of the identity of [azure]; in a pod, `system:serviceaccount:<namespace>:<name>`. Not set: the
    account slipway-login, whose kubeconfig is in `credentials`."""
    namespace: DnsLabel
    """Namespace of the environment."""
    overlay: str
    """Folder below `overlays` of `[app] manifests`."""
    public_url: Annotated[str, AfterValidator(_web_address)]
    """Address that users use: http(s)://host, with a port if needed, without a path."""
    resolver: Annotated[str, AfterValidator(_socket_address)] | None = None
    """IP address of the DNS server for `public_url`, with :port if not 53. Not set: this machine's own."""
    load_balancer: tuple[IPvAnyAddress, ...] = ()
    """Addresses that the host of `public_url` must resolve to. Empty: those that the Service reports."""
    replicas: PositiveInt = 3
    """Number of replicas."""
    promotes_from: DnsLabel | None = None
    """An environment above this one. Only images that are good there are released here."""
    only_released: bool | None = None
    """Whether only commits of `[source] released_branch` are released here, also with `force`.

    Not set: true if `promotes_from` is set."""
    bake: NonNegativeInt = 0
    """Minutes for which an image must have been good in `promotes_from`."""
    approval: bool = False
    """Whether a person must approve each release."""
    approval_timeout: PositiveInt = 8 * 3600
    """Seconds that a release waits for the approval."""
    lock_wait: NonNegativeInt = 600
    """Seconds that a run waits for another run that is changing the environment."""
    rollout_timeout: PositiveInt = 120
    """Seconds until all replicas must be ready."""
    rollout_patience: Annotated[int, Field(ge=0, le=1800)] = 600
    """Seconds beyond `rollout_timeout` while a node is being added for the rollout, or its image is being
    pulled."""
    endpoint_timeout: Annotated[int, Field(ge=1, le=3600)] = 300
    """Seconds after the rollout until the public URL must be in order: a new load balancer takes minutes."""
    soak: NonNegativeInt = 30
    """Seconds of watching restarts and 5xx answers before a release is good. 0: no watch, one look."""
    slower_than: PositiveFloat = 3.0
    """Limit for the median answer time, as a multiple of the outgoing release's. A slower release fails."""
    allowed_images: tuple[ImagePattern, ...] = ()
    """Images that pods may run besides the app's own by digest: `mcr.microsoft.com/dapr/daprd`, or with
    `:1.14.*` or `@sha256:…`. The bootstrap puts this key and those below into the cluster."""
    service_accounts: tuple[DnsLabel, ...] = ()
    """Service accounts besides `default` that pods may run as, with a token."""
    egress: tuple[Egress, ...] = ()
    """Where pods may open connections to. Empty: nowhere."""
    quota: Quota = Quota()
    """How much the environment may take of its cluster."""

    @model_validator(mode="after")
    def _one_cluster(self) -> Self:
        if self.context is None and self.aks is None:
            raise ValueError("must have either `context` or a table `aks`")
        if self.aks is not None and (self.credentials or self.kubeconfig):
            raise ValueError("with `aks`, neither `credentials` nor `kubeconfig` is used: leave them out")
        if self.login is not None and self.credentials is not None:
            raise ValueError("with `login`, no `credentials` are used: leave one of them out")
        return self

    @model_validator(mode="after")
    def _room_for_a_rollout(self) -> Self:
        if self.quota.pods < 2 * self.replicas:
            raise ValueError(
                f"quota.pods is {self.quota.pods}; a rollout of {self.replicas} replicas needs "
                f"{2 * self.replicas}"
            )
        return self

    @property
    def takes_other_branches(self) -> bool:
        """Whether a commit that is not on the released branch may be released here."""
        asked = self.only_released
        return self.promotes_from is None if asked is None else not asked


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
    connections_per_client: PositiveInt = 200
    """Connections that one address may have to an environment at a time, through the edge."""
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
    registry_pull_port: Port = 5002
    """Port of the registry's read-only twin, where the nodes of the embedded cluster pull."""
    blob_store_port: Port = 10000
    """Port of the blob store."""
    hooks_port: Port = 4280
    """Port of the receiver of webhooks."""
    kubernetes_port: Port = 6443
    """Port of the Kubernetes API server."""
