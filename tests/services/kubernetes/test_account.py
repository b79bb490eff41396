"""The login that a worker has for long may ask for the releasing account's tokens, and do nothing else."""

import os
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from deployments.cluster import bootstrap
from flows.checks.environments import needed_rights
from flows.core.doctor.rights import lacking
from flows.core.errors import ClusterNotPrepared, ClusterUnavailable, CredentialsRefused, SettingsError
from flows.credentials import environment
from flows.services.kubernetes import account as accounts
from flows.services.kubernetes import in_pod, lease, review
from flows.services.kubernetes.account import ACCOUNT, LOGIN, ReleaseTokens, as_releasing, create_token
from flows.services.kubernetes.api import KubernetesApi
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.kubeconfig import AccountAccess, access
from flows.services.process.command import silent
from flows.stages.attach import administrators_cluster
from flows.stages.context import opened
from tests.services.a_namespace import config_map
from tests.stand_ins.arm import CLUSTER, GROUP, SERVER_ID, SUBSCRIPTION, Arm, arm
from tests.stand_ins.entra import Entra, entra
from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.own_certificate import own_certificate
from tests.support.api_server import CONTEXT, ApiServer, api_server
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.platform, pytest.mark.apart]  # with an API server of its own

USER = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


@pytest.fixture(scope="module")
def directory() -> Iterator[Entra]:
    with entra() as found, pytest.MonkeyPatch.context() as variables:
        for name, value in found.variables.items():
            variables.setenv(name, value)
        yield found


@pytest.fixture(scope="module")
def server(directory: Entra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api-server"), directory, SERVER_ID) as found:
        yield found


@pytest.fixture(scope="module")
def manager(directory: Entra, server: ApiServer) -> Iterator[Arm]:
    with arm(directory) as found:
        found.server, found.authority, found.users = server.address, server.authority, {"pipeline", "other"}
        yield found


@pytest.fixture(scope="module")
def admin(server: ApiServer, directory: Entra) -> Cluster:
    """A namespace whose login is the account of the cluster itself."""
    return server.prepared("embedded")


@pytest.fixture(scope="module")
def login(admin: Cluster) -> AccountAccess:
    """What the block holds."""
    found = access(bootstrap.login_kubeconfig(admin)[0], LOGIN)
    bootstrap.await_fence(by(found, admin.namespace))
    return found


@pytest.fixture(scope="module")
def azure(server: ApiServer, directory: Entra, manager: Arm) -> tuple[Cluster, AccountAccess]:
    """A namespace whose login is an identity of Entra ID, and that login."""
    prepared = server.prepared("aks", login=directory.object_id("pipeline"))
    found = manager.cluster("pipeline").login()
    bootstrap.await_fence(by(found, prepared.namespace))
    return prepared, found


@pytest.fixture(params=["an account of the cluster", "an identity of Entra ID"])
def way(request: pytest.FixtureRequest) -> tuple[Cluster, AccountAccess]:
    """A prepared namespace, for its administrator, and the worker's login to it."""
    if request.param == "an identity of Entra ID":
        found = request.getfixturevalue("azure")
        assert isinstance(found, tuple)
        return found
    return request.getfixturevalue("admin"), request.getfixturevalue("login")


def who(api: KubernetesApi) -> str:
    return str(api.create(USER, REVIEW)["status"]["userInfo"]["username"])


def as_login(way: tuple[Cluster, AccountAccess]) -> Cluster:
    return by(way[1], way[0].namespace)


def by(login: AccountAccess, namespace: str) -> Cluster:
    return Cluster(login, login.context, namespace, "web")


def test_a_release_writes_as_the_fenced_account(way: tuple[Cluster, AccountAccess]) -> None:
    cluster, account = way[0], as_releasing(as_login(way))
    assert who(account.api) == f"system:serviceaccount:{cluster.namespace}:{ACCOUNT}"
    account.require_fence()
    name = f"a-{uuid.uuid4().hex[:8]}"
    with lease.acquire(account, "run", 0, silent) as held:
        account.await_fence(held.fence)
        account.apply([config_map(name, a="b")], held.fence, silent)
    assert cluster.api.get(cluster.path("api/v1", "configmaps", name)) is not None


@pytest.mark.parametrize("account", ["default", LOGIN])
def test_the_login_creates_no_other_accounts_tokens(way: tuple[Cluster, AccountAccess], account: str) -> None:
    cluster = as_login(way)
    with pytest.raises(CredentialsRefused, match=r"cannot create resource .serviceaccounts/token"):
        create_token(cluster.api, cluster.namespace, account, 600)


def test_the_login_itself_writes_nothing(way: tuple[Cluster, AccountAccess]) -> None:
    cluster = as_login(way)
    with pytest.raises(CredentialsRefused, match="cannot create resource"):
        cluster.api.create(cluster.path("api/v1", "configmaps"), config_map("a"))


@pytest.mark.parametrize(
    ("group", "plural"),
    [
        ("api/v1", "secrets"),
        ("api/v1", f"serviceaccounts/{ACCOUNT}"),
        ("apis/apps/v1", "deployments"),
    ],
)
def test_the_login_itself_reads_nothing(way: tuple[Cluster, AccountAccess], group: str, plural: str) -> None:
    cluster = as_login(way)
    with pytest.raises(CredentialsRefused, match=r"cannot (get|list) resource"):
        cluster.api.get(cluster.path(group, plural))


def test_another_identity_of_the_directory_is_no_login(
    azure: tuple[Cluster, AccountAccess], manager: Arm
) -> None:
    other = manager.cluster("other").login()
    with pytest.raises(ClusterNotPrepared, match=f"may not create tokens of {ACCOUNT} in 'aks'.*bootstrap"):
        as_releasing(by(other, azure[0].namespace)).require_fence()


def test_a_token_is_asked_for_once_and_again_minutes_before_its_end(
    login: AccountAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = ReleaseTokens(KubernetesApi(login, login.context), "embedded")
    first = tokens.current()
    assert tokens.current() == first
    assert first not in repr(tokens)
    monkeypatch.setattr(accounts, "RENEWED_BEFORE", accounts.LIFETIME)  # its last minutes begin at once
    tokens.forget()
    second = tokens.current()
    assert len({first, second, tokens.current()}) == 3


def test_a_namespace_without_the_account_is_not_prepared(
    server: ApiServer, directory: Entra, manager: Arm
) -> None:
    cluster = server.prepared("emptied", login=directory.object_id("pipeline"))
    path = cluster.path("api/v1", "serviceaccounts", ACCOUNT)
    found = cluster.api.get(path)
    assert found
    cluster.api.delete(path, found)
    account = as_releasing(by(manager.cluster("pipeline").login(), cluster.namespace))

    def is_named() -> bool:  # roles are heeded a moment after they are created
        with pytest.raises(ClusterNotPrepared) as refused:
            account.require_namespace()
        return f"has no account {ACCOUNT}" in str(refused.value)

    wait_until(is_named, "the missing account is not named")


def test_a_block_with_the_releasing_accounts_own_token_names_the_bootstrap(admin: Cluster) -> None:
    old = access(bootstrap.login_kubeconfig(admin, ACCOUNT)[0], "a-block")
    with pytest.raises(SettingsError, match=f"long-lived token of {ACCOUNT}.*deployments.cluster.bootstrap"):
        as_releasing(by(old, admin.namespace))


def test_a_token_that_the_server_does_not_take_any_more_is_replaced_once() -> None:
    own, given, asked = own_certificate(), list[str](), list[tuple[str, str]]()

    class Handler(JsonHandler):
        """The account was created again after the first token, and refuses the third as well."""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            given.append(f"t{len(given) + 1}")
            self.answer(201, {"spec": {"expirationSeconds": 3600}, "status": {"token": given[-1]}})

        def do_GET(self) -> None:
            token = self.headers["Authorization"].removeprefix("Bearer ")
            asked.append((self.path, token))
            is_taken = token == "t2" and self.path == "/version"
            self.answer(HTTPStatus.OK if is_taken else HTTPStatus.UNAUTHORIZED, {"message": "Unauthorized"})

    with serving(Handler, own.server) as address:
        login = AccountAccess(address, own.authority.decode(), "", lambda: "login", "here")
        api = as_releasing(by(login, "staging")).api
        assert api.get("/version") == {"message": "Unauthorized"}
        assert asked == [("/version", "t1"), ("/version", "t2")]
        with pytest.raises(CredentialsRefused):
            api.get("/api")
    assert asked[2:] == [("/api", "t2"), ("/api", "t3")]


@pytest.mark.parametrize("lasts", [True, False])
def test_while_the_server_is_away_a_token_is_used_to_its_end(
    monkeypatch: pytest.MonkeyPatch, lasts: bool
) -> None:
    own, answers = own_certificate(), [HTTPStatus.CREATED, HTTPStatus.SERVICE_UNAVAILABLE]
    monkeypatch.setattr(accounts, "RENEWED_BEFORE", accounts.LIFETIME)

    class Handler(JsonHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            spec = {"expirationSeconds": accounts.LIFETIME if lasts else 0}
            self.answer(answers.pop(0), {"spec": spec, "status": {"token": "first"}, "message": "Later"})

    with serving(Handler, own.server) as address:
        login = AccountAccess(address, own.authority.decode(), "", lambda: "login", "here")
        tokens = ReleaseTokens(KubernetesApi(login, "here"), "staging")
        assert tokens.current() == "first"
        if lasts:
            assert tokens.current() == "first"
        else:
            with pytest.raises(ClusterUnavailable, match="it answered 503"):
                tokens.current()
    assert answers == []


def test_no_token_is_on_disk(login: AccountAccess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert who(as_releasing(by(login, "embedded")).api).endswith(ACCOUNT)
    assert list(tmp_path.rglob("*")) == []


ON_AKS = f"""
[environments.live]
namespace = "run"
overlay = "production"
public_url = "https://live.example.org"

[environments.live.aks]
subscription = "{SUBSCRIPTION}"
resource_group = "{GROUP}"
cluster = "{CLUSTER}"
"""
APPLICATION = "44444444-4444-4444-4444-444444444444"


def test_a_run_on_aks_releases_by_its_identity(
    server: ApiServer, manager: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, settings = manager.directory, tmp_path / "slipway.toml"
    manager.users.add(APPLICATION)
    directory.secrets[APPLICATION] = "s3cret"
    bootstrap.await_fence(server.prepared("run", login=directory.object_id(APPLICATION)))
    settings.write_text(Path("slipway.toml").read_text().partition("[environments.")[0] + ON_AKS)
    variables = {
        "SLIPWAY_CONFIG": str(settings),
        "SLIPWAY_STATE": str(tmp_path / "state"),
        "SLIPWAY_AZURE__IDENTITY": "service-principal",
        "SLIPWAY_AZURE__TENANT": directory.tenant,
        "SLIPWAY_AZURE__CLIENT_ID": APPLICATION,
        "SLIPWAY_AZURE__CREDENTIALS": "a-block",
        "SLIPWAY_AZURE__AUTHORITY": directory.url,
        "SLIPWAY_AZURE__RESOURCE_MANAGER": manager.url,
        environment.AZURE_SECRET: "s3cret",
    }
    for name in [one for one in os.environ if one.startswith("SLIPWAY_ENVIRONMENTS__")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with opened("run-1", print, lambda _: lambda *_: None, environment) as run:
        cluster = run.cluster("live")
        assert who(cluster.api) == f"system:serviceaccount:run:{ACCOUNT}"
        assert cluster.context == CLUSTER
        cluster.require_fence()
        administrators = administrators_cluster(run, "live")
        assert who(administrators.api) == directory.object_id(APPLICATION)


def test_a_run_in_a_pod_releases_by_the_pods_account(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = "system:serviceaccount:pod:worker"
    admin = server.prepared("pod", login=worker)
    admin.api.create(admin.path("api/v1", "serviceaccounts"), {"metadata": {"name": "worker"}})
    given = create_token(admin.api, "pod", "worker", 600)
    assert given
    (tmp_path / "ca.crt").write_bytes(server.authority)
    (tmp_path / "token").write_text("of yesterday")
    monkeypatch.setattr(in_pod, "FOLDER", tmp_path)
    host, _, port = server.address.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    login = by(in_pod.account(), "pod")
    (tmp_path / "token").write_text(given["status"]["token"])  # Kubernetes replaces it while the pod runs
    assert who(login.api) == worker
    bootstrap.await_fence(login)


def test_outside_of_a_pod_its_context_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SettingsError, match="'in-cluster' is for a process in a pod"):
        in_pod.account()


def test_a_context_may_be_the_login(server: ApiServer, admin: Cluster) -> None:
    account = as_releasing(Cluster(server.kubeconfig, CONTEXT, "embedded", "web"))
    assert who(account.api) == f"system:serviceaccount:embedded:{ACCOUNT}"
    account.require_fence()


def test_the_server_says_who_the_account_is_and_that_it_has_all_rights_of_the_bootstrap(
    server: ApiServer, admin: Cluster
) -> None:
    account = as_releasing(Cluster(server.kubeconfig, CONTEXT, "embedded", "web"))
    assert review.user_name(account.api) == f"system:serviceaccount:embedded:{ACCOUNT}"
    found = review.rights(account.api, "embedded")
    assert found.complete
    assert lacking(needed_rights(), found.rules) == []
    assert "get pods/log" in lacking(needed_rights(), review.rights(account.api, "default").rules)
    assert account.api.date() is not None
