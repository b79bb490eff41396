"""A team whose systems are all in order, for the doctor to look at; each test breaks one of them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deployments.prefect.api import PrefectApi
from flows.checks.doctor import look
from flows.config.load import CHECKOUT, load
from flows.config.on_prefect import variables_of
from flows.core.doctor.deployments import described
from flows.core.doctor.finding import Finding
from flows.core.model.model import Latest, Model
from flows.services.prefect.client import http_client
from flows.services.process.tls import authorities
from tests.cli.conftest import Prefect, server_alone
from tests.services.certificates import served
from tests.stand_ins.doctors_cluster import DoctorsCluster, doctors_cluster
from tests.stand_ins.entra import Entra, entra
from tests.stand_ins.guarded_registry import PASSWORD, USER, GuardedRegistry, guarded_registry
from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.load_balancer import load_balancer
from tests.stand_ins.s3_server import s3_server
from tests.support.commits import commit_all
from tests.support.prefect_client import talking_to

SECRET = "s3cret-of-the-application"
CLIENT = "22222222-2222-2222-2222-222222222222"
NOWHERE = "127.0.0.1:1"
QUEUES = ["ci", "release", "checks"]
SETTINGS = """
timezone = "Europe/Berlin"
[azure]
identity = "service-principal"
tenant = "{tenant}"
client_id = "{client}"
credentials = "identity"
authority = "{authority}"
resource_manager = "https://localhost:9"
[source]
repository = "{repository}"
[manifests]
repository = "{manifests}"
[app]
name = "app"
context = ["Dockerfile"]
base_image = "{base}"
[model]
name = "digits"
container = "{container}"
credentials = "aws-credentials/store"
[registry]
address = "{registry}"
repository = "team/app"
{login}
[engine]
credentials = "engine"
[results]
storage = "local-file-system/results"
[environments.production]
context = "there"
credentials = "production"
namespace = "production"
overlay = "production"
public_url = "https://{host}:{port}"
"""

LOGIN = """\
credentials = "push"
pull_credentials = "pull"
pull_address = "{twin}"
insecure = true
"""
"""At the registry."""


@dataclass
class Store:
    """A door before S3: writes pass while `writable`, and its clock is `ahead` of this machine's."""

    address: str = ""
    writable: bool = True
    ahead: timedelta = timedelta()


@dataclass
class Team:
    """Its systems, and what a test sets of them."""

    prefect: Prefect
    folder: Path
    cluster: DoctorsCluster
    registry: GuardedRegistry
    twin: GuardedRegistry
    store: Store
    entra: Entra
    port: int
    engine: str
    http: httpx.Client
    is_changed: bool = True
    """Whether Prefect's server is not as a worker leaves it."""
    changed_blocks: set[tuple[str, str]] = field(default_factory=set)

    def write(self, **changed: str) -> None:
        """slipway.toml, with these values in place of those that are in order."""
        values = {
            "tenant": self.entra.tenant,
            "client": CLIENT,
            "authority": self.entra.url,
            "repository": str(self.folder / "source"),
            "manifests": str(self.folder / "manifests"),
            "registry": self.registry.address,
            "login": LOGIN.format(twin=self.twin.address),
            "port": str(self.port),
            "host": "localhost",
            "container": "models",
            "base": f"python@sha256:{'0' * 64}",
        }
        (self.folder / "slipway.toml").write_text(SETTINGS.format(**values | changed))

    def add(self, text: str) -> None:
        """A line at the end of slipway.toml, in the table of production."""
        with (self.folder / "slipway.toml").open("a") as file:
            file.write(f"{text}\n")

    def block(self, kind: str, name: str, **values: Any) -> None:
        """Save a block as it is not in order."""
        self.changed_blocks.add((kind, name))
        save_block(self.http, kind, name, values)

    def remove_block(self, kind: str, name: str) -> None:
        """Delete a block."""
        self.changed_blocks.add((kind, name))
        found = self.http.get(f"/block_types/slug/{kind}/block_documents/name/{name}").json()
        self.http.delete(f"/block_documents/{found['id']}").raise_for_status()

    def ask(self, method: str, path: str, content: object = None) -> Any:
        """Prefect's own interface, where a test changes more than blocks."""
        self.is_changed = True
        answer = self.http.request(method, path, json=content).raise_for_status()
        return answer.json() if answer.content else None

    def look(self, *, attach: bool = False) -> dict[str, Finding]:
        """The doctor's rows, by what they are about."""
        return {finding.subject: finding for finding in look(attach=attach)}


def save_block(http: httpx.Client, kind: str, name: str, values: dict[str, Any]) -> None:
    """As the UI does, of a type that need not be there."""
    found = http.get(f"/block_types/slug/{kind}")
    if found.status_code == 404:
        found = http.post("/block_types/", json={"name": kind, "slug": kind})
    block_type = found.raise_for_status().json()["id"]
    schema = http.post("/block_schemas/", json={"block_type_id": block_type, "fields": {}}).json()["id"]
    path = f"/block_types/slug/{kind}/block_documents/name/{name}"
    if (there := http.get(path)).is_success:
        http.delete(f"/block_documents/{there.json()['id']}").raise_for_status()
    ids = {"block_type_id": block_type, "block_schema_id": schema}
    http.post("/block_documents/", json={"name": name, "data": values, **ids}).raise_for_status()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    with server_alone(tmp_path_factory.mktemp("prefect")) as found:
        yield found


@pytest.fixture(scope="session")
def systems(server: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The team's systems, with Prefect's server as `prefect deploy --all` and a worker leave it."""
    folder = tmp_path_factory.mktemp("team")
    for name in ("source", "manifests"):
        (folder / name).mkdir()
        (folder / name / "a-file").touch()
        commit_all(folder / name, "A commit")
    tls = served(folder, "localhost", ends=datetime.now(UTC) + timedelta(days=90))
    with ExitStack() as until_the_end:
        enter = until_the_end.enter_context
        cluster, azure = enter(doctors_cluster()), enter(entra())
        registry, twin, s3 = enter(guarded_registry()), enter(guarded_registry()), enter(s3_server())
        httpx.put(f"{s3}/models", trust_env=False).raise_for_status()
        model = Model("digits", "1.0.0", "sha256:" + "1" * 64, "sha256:" + "2" * 64, 1)
        pointer = Latest(model, "2026-03-01T02:00:00Z").to_bytes()
        httpx.put(f"{s3}/models/digits/latest.json", content=pointer, trust_env=False).raise_for_status()
        store = Store()
        store.address = enter(serving(_door(store, s3)))
        azure.secrets[CLIENT] = SECRET
        engine = enter(serving(_engine())).replace("http", "tcp")
        balancer = enter(load_balancer(int(store.address.rpartition(":")[2]), tls=tls))
        http = enter(http_client(server.url, server.sign_in, trust_env=False))
        team = Team(server, folder, cluster, registry, twin, store, azure, balancer.port, engine, http)
        team.changed_blocks |= _blocks(team).keys()
        with (folder / "bundle.crt").open("wb") as bundle:
            bundle.write(azure.ca.read_bytes() + (folder / "ca.crt").read_bytes())
        yield team


@pytest.fixture
def team(systems: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """All in order; the settings of the tests' platform do not count."""
    for name in [one for one in os.environ if one.startswith("SLIPWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLIPWAY_CONFIG", str(systems.folder / "slipway.toml"))
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path / "state"))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(systems.folder / "bundle.crt"))
    systems.write()
    _mend(systems)
    if systems.is_changed:
        _prepare(systems)
    blocks = _blocks(systems)
    while systems.changed_blocks:
        kind, name = systems.changed_blocks.pop()
        save_block(systems.http, kind, name, blocks[kind, name])
    authorities.cache_clear()  # a process reads them once
    with talking_to(PrefectApi(systems.prefect.url.removesuffix("/api"), systems.prefect.sign_in)):
        yield systems
    authorities.cache_clear()


def _mend(team: Team) -> None:
    """All but Prefect's server."""
    fresh = DoctorsCluster()
    for name in vars(fresh).keys() - {"kubeconfig", "pods_of", "asked"}:
        setattr(team.cluster, name, getattr(fresh, name))
    team.registry.pull, team.registry.push, team.twin.pull, team.twin.push = 200, 202, 200, 401
    team.registry.latest = b""
    team.store.writable, team.store.ahead = True, timedelta()
    team.entra.secrets[CLIENT] = SECRET


def _prepare(team: Team) -> None:
    """Prefect's server with the pool, a worker, the deployments and a planned night."""
    file = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
    if team.http.get("/work_pools/slipway").status_code == 404:
        team.ask("POST", "/work_pools/", {"name": "slipway", "type": "process"})
    team.ask("PATCH", "/work_pools/slipway", {"is_paused": False})
    for queue in QUEUES:
        if team.http.get(f"/work_pools/slipway/queues/{queue}").status_code == 404:
            team.ask("POST", "/work_pools/slipway/queues", {"name": queue})
    team.ask("POST", "/work_pools/slipway/workers/heartbeat", {"name": "a-worker"})
    team.ask("POST", "/work_pools/slipway/get_scheduled_flow_runs", {"work_queue_names": QUEUES})
    variables = variables_of(load())
    for entry in file["deployments"]:
        wanted = described(entry, variables)
        flow, _, name = wanted.name.partition("/")
        schedules = [
            {"schedule": {"cron": cron, "timezone": zone}, "active": True} for cron, zone in wanted.schedules
        ]
        content = {
            "name": name,
            "flow_id": team.ask("POST", "/flows/", {"name": flow})["id"],
            "entrypoint": wanted.entrypoint,
            "work_pool_name": "slipway",
            "work_queue_name": wanted.queue,
            "parameters": dict(wanted.parameters),
            "schedules": schedules,
            "paused": False,
            "enforce_parameter_schema": False,
        }
        made = team.ask("POST", "/deployments/", content)
        if wanted.name == "release/nightly":
            team.ask("POST", f"/deployments/{made['id']}/schedule", {})
    team.is_changed = False


def _blocks(team: Team) -> dict[tuple[str, str], dict[str, Any]]:
    """What slipway.toml names, by type and name."""
    aws = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    login = {"username": USER, "password": PASSWORD, "registry_url": team.registry.address}
    secrets = {
        "identity": SECRET,
        "production": team.cluster.kubeconfig,
        "slipway-github-hook": "a-secret",
        "slipway-azure-devops-hook": "a:b",
        "slipway-test-results": "0123456789abcdef",
    }
    return {
        ("aws-credentials", "store"): {**aws, "aws_client_parameters": {"endpoint_url": team.store.address}},
        ("docker-registry-credentials", "push"): login,
        ("docker-registry-credentials", "pull"): login,
        ("docker-host", "engine"): {"base_url": team.engine},
        ("local-file-system", "results"): {"basepath": str(team.folder / "results")},
        **{("secret", name): {"value": value} for name, value in secrets.items()},
    }


def _door(store: Store, there: str) -> type[JsonHandler]:
    """Lets requests for objects through, and writes while the store is writable."""

    class Handler(JsonHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((datetime.now() + store.ahead).timestamp())

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == "PUT" and not store.writable:
                self.answer(403, {})
                return
            kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            url = f"{there}{self.path}"
            found = httpx.request(self.command, url, content=body, headers=kept, trust_env=False)
            self.send_response(found.status_code)
            for name, value in found.headers.items():
                if name.lower() not in {"date", "server", "connection", "transfer-encoding"}:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.content)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do

    return Handler


def _engine() -> type[JsonHandler]:
    """Answers as docker's engine does when it is asked for its version."""

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.answer(200, {"ApiVersion": "1.45", "Version": "27.0", "MinAPIVersion": "1.24"})

    return Handler
