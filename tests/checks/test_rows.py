"""Each row of the doctor: with everything in order it is ok; with that one thing broken, it alone fails."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from deployments.prefect.api import PrefectApi
from flows.core.rollout.faults import REFUSED
from flows.services.registry.manifest import OCI_MANIFEST
from tests.checks.conftest import CLIENT, NOWHERE, SECRET, Team
from tests.services.certificates import served
from tests.stand_ins.acr import Acr, acr
from tests.stand_ins.guarded_registry import PASSWORD
from tests.stand_ins.load_balancer import load_balancer
from tests.support.a_pointer import POINTER
from tests.support.a_record import NOON, a_record, good
from tests.support.prefect_client import talking_to
from tests.support.rows import rest_slow

pytestmark = [pytest.mark.platform, pytest.mark.apart]  # with a Prefect server of its own


def test_a_line_that_is_in_order_has_no_row_that_is_not(team: Team) -> None:
    found = team.look()
    assert {name: row for name, row in found.items() if row.state != "ok"} == {}
    assert {"settings", "clock", "registry: push", "production: certificate"} < found.keys()
    assert found["production: account"].seen == (
        "The API server knows us as system:serviceaccount:production:slipway-release."
    )
    assert found["Azure: signed in"].seen == (
        f"Entra ID gives a token to the identity service-principal, client {CLIENT}, directory "
        f"{team.entra.tenant}."
    )


def test_the_last_pull_that_a_release_saw_is_reported(team: Team) -> None:
    assert team.look()["production: last pull"].seen == "No release has needed a pull yet."
    team.cluster.records = [good(3)]
    assert team.look()["production: last pull"].seen.startswith("The nodes pulled the image of release 3 (")


def no_pool(team: Team) -> None:
    team.ask("DELETE", "/work_pools/slipway")


def no_worker(team: Team) -> None:
    team.ask("DELETE", "/work_pools/slipway/queues/checks")
    team.ask("POST", "/work_pools/slipway/queues", {"name": "checks"})


def another_queue(team: Team) -> None:
    found = team.ask("GET", "/deployments/name/mark-lost/on-demand")
    team.ask("PATCH", f"/deployments/{found['id']}", {"work_queue_name": "release"})


def no_night(team: Team) -> None:
    found = team.ask("GET", "/deployments/name/release/nightly")
    query = {"deployments": {"id": {"any_": [found["id"]]}}}
    for run in team.ask("POST", "/flow_runs/filter", query):
        team.ask("DELETE", f"/flow_runs/{run['id']}")


def no_block(team: Team) -> None:
    team.remove_block("docker-host", "engine")


def wrong_secret(team: Team) -> None:
    team.entra.secrets[CLIENT] = "another secret"


def no_right_to_push(team: Team) -> None:
    team.registry.push = 403


def wrong_login(team: Team) -> None:
    team.block(
        "docker-registry-credentials",
        "push",
        username="u",
        password="wrong",
        registry_url=team.registry.address,
    )


def nodes_may_not_pull(team: Team) -> None:
    team.twin.pull = 403


def store_away(team: Team) -> None:
    team.block(
        "aws-credentials",
        "store",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        aws_client_parameters={"endpoint_url": f"http://{NOWHERE}"},
    )


def read_only_store(team: Team) -> None:
    team.store.writable = False


def results_nowhere(team: Team) -> None:
    team.block("local-file-system", "results", basepath=str(team.folder / "slipway.toml" / "results"))


def engine_away(team: Team) -> None:
    team.block("docker-host", "engine", base_url=f"tcp://{NOWHERE}")


def cluster_away(team: Team) -> None:
    address = team.cluster.kubeconfig.partition("server: ")[2].partition("\n")[0]
    team.block("secret", "production", value=team.cluster.kubeconfig.replace(address, f"https://{NOWHERE}"))


def token_ended(team: Team) -> None:
    team.cluster.login = "another token"


def a_right_is_missing(team: Team) -> None:
    team.cluster.rules = [rule for rule in team.cluster.rules if "pods/log" not in rule["resources"]]


def no_fence(team: Team) -> None:
    team.cluster.fence = None


def another_edition(team: Team) -> None:
    team.cluster.edition = "another"


def foreign_pods(team: Team) -> None:
    team.cluster.pods = None


def refused_pull(team: Team) -> None:
    reason = f"The rollout fails: {REFUSED} registry.test/app: check the pull secret."
    team.cluster.records = [a_record(2).closed("rolled_back", reason, NOON), good(1)]


BROKEN: dict[str, tuple[Callable[[Team], object], str, str]] = {
    "no pool": (no_pool, "Prefect: work pool", "There is no work pool slipway"),
    "no worker": (no_worker, "Prefect: queue checks", "No worker takes runs of the queue checks"),
    "deployments": (another_queue, "Prefect: deployments", "mark-lost/on-demand has another work queue"),
    "no night": (no_night, "Prefect: next night", "The schedule of release/nightly is on, and no run"),
    "no block": (no_block, "block docker-host/engine", r"names at \[engine\] credentials"),
    "secret": (wrong_secret, "Azure: signed in", "AADSTS7000215"),
    "repository": (
        lambda team: team.write(repository=str(team.folder / "gone")),
        "repository",
        "gone",
    ),
    "manifests": (
        lambda team: team.write(manifests=str(team.folder / "gone")),
        "repository of the manifests",
        "gone",
    ),
    "entra": (lambda team: team.write(authority=f"https://{NOWHERE}"), "Azure: Entra ID reached", "directly"),
    "base": (lambda team: team.write(base=f"{NOWHERE}/python:3.11"), "base image", "could not be reached"),
    "registry": (lambda team: team.write(registry=NOWHERE), "registry: reached", "could not be reached"),
    "login": (wrong_login, "registry: signed in", "does not let u read team/app"),
    "push": (no_right_to_push, "registry: push", "does not let nodes push to team/app"),
    "nodes": (nodes_may_not_pull, "registry: pull of the nodes", "does not let nodes pull from team/app"),
    "store": (store_away, "model store: reached", "could not be reached directly"),
    "container": (
        lambda team: team.write(container="gone"),
        "model store: read",
        "There is no bucket 'gone'",
    ),
    "read-only store": (read_only_store, "model store: write", "refuses access"),
    "results": (results_nowhere, "results storage: write", "slipway.toml"),
    "engine": (engine_away, "container engine", "engine"),
    "cluster": (cluster_away, "production: cluster", "could not be reached"),
    "token": (token_ended, "production: account", "Unauthorized"),
    "rights": (a_right_is_missing, "production: rights", r"may not: get pods/log; get pods/proxy"),
    "fence": (no_fence, "production: fence", "does not fence what this account writes"),
    "edition": (another_edition, "production: admission policies", "prepared by another version"),
    "pods": (foreign_pods, "production: admission policies", "lets pods of any image run"),
    "pull": (refused_pull, "production: last pull", "The nodes were refused at release 2 .*check the pull"),
    "DNS": (
        lambda team: team.write(host="nowhere.invalid"),
        "production: DNS",
        "nowhere.invalid does not resolve",
    ),
    "elsewhere": (
        lambda team: team.add('load_balancer = ["127.0.0.9"]'),
        "production: load balancer",
        "its load balancer is 127.0.0.9",
    ),
    "no listener": (
        lambda team: team.write(port=NOWHERE.partition(":")[2]),
        "production: load balancer",
        "No load balancer accepts a connection",
    ),
}


@pytest.mark.parametrize("name", rest_slow([*BROKEN], 12))
def test_what_is_broken_alone_fails_its_row_and_no_other(team: Team, name: str) -> None:
    break_it, subject, seen = BROKEN[name]
    break_it(team)
    found = team.look()
    failed = {name: row.seen for name, row in found.items() if row.state == "failed"}
    assert failed.keys() == {subject}, failed
    assert re.search(seen, found[subject].seen)
    assert found[subject].tried
    assert found[subject].remedy


@pytest.fixture
def azures_registry(team: Team) -> Iterator[Acr]:
    """The team's registry, at which the identity of [azure] signs in, and may push."""
    with acr(team.entra) as registry:
        registry.roles = {CLIENT: {"AcrPush"}}
        team.write(registry=registry.address, login='login = "azure"\npull_credentials = ""')
        yield registry


def test_at_azures_registry_a_missing_role_fails_the_row_of_the_push_and_no_other(
    team: Team, azures_registry: Acr
) -> None:
    found = team.look()
    assert {name: row for name, row in found.items() if row.state != "ok"} == {}
    assert found["registry: push"].tried == "asked for a token for team/app, and read which rights it names"
    azures_registry.roles = {CLIENT: {"AcrPull"}}
    found = team.look()
    assert {name: row.state for name, row in found.items() if row.state != "ok"} == {
        "registry: push": "failed"
    }
    assert "does not let the identity of [azure] push to team/app" in found["registry: push"].seen
    assert "the role AcrPush" in found["registry: push"].remedy
    assert not azures_registry.pushed


def test_at_azures_registry_an_identity_without_a_role_fails_the_row_of_the_sign_in(
    team: Team, azures_registry: Acr
) -> None:
    azures_registry.roles = {}
    found = team.look()
    failed = {name: row for name, row in found.items() if row.state == "failed"}
    assert failed.keys() == {"registry: signed in"}
    assert not found["registry: push"].checked


def test_what_depends_on_a_row_that_failed_is_not_checked_and_names_that_row(team: Team) -> None:
    no_block(team)
    found = team.look()
    engine = found["container engine"]
    assert (engine.state, engine.checked) == ("warning", False)
    assert engine.seen == "Not checked, because block docker-host/engine is not in order."


@pytest.mark.parametrize(
    ("days", "state", "seen"),
    [
        (14, "warning", "in less than 21 days"),
        (3, "failed", "in less than 7 days"),
        (-1, "failed", "expired on"),
    ],
)
def test_a_certificate_that_ends_soon_is_a_warning_before_it_fails_releases(
    team: Team, days: int, state: str, seen: str
) -> None:
    tls = served(team.folder, "localhost", ends=datetime.now(UTC) + timedelta(days=days))
    with load_balancer(int(team.store.address.rpartition(":")[2]), tls=tls) as balancer:
        team.write(port=str(balancer.port))
        found = team.look()
    assert (found["production: certificate"].state, seen in found["production: certificate"].seen) == (
        state,
        True,
    )
    assert {name for name, row in found.items() if row.state != "ok"} == {"production: certificate"}


@pytest.mark.parametrize(("minutes", "state"), [(2, "warning"), (-7, "failed")])
def test_a_clock_that_is_off_is_named_with_the_system_that_has_another(
    team: Team, minutes: int, state: str
) -> None:
    team.store.ahead = timedelta(minutes=minutes)
    found = team.look()
    assert {name: row.state for name, row in found.items() if row.state != "ok"} == {"clock": state}
    how = "behind" if minutes > 0 else "ahead of"
    assert found["clock"].seen == f"This machine's clock is {abs(minutes)} min {how} the model store."


def test_wrong_settings_are_a_row_and_nothing_else_is_checked(team: Team) -> None:
    team.add("replica = 3")
    found = team.look()
    assert [(row.subject, row.state) for row in found.values()] == [
        ("settings", "failed"),
        ("all else", "warning"),
    ]
    assert "environments.production.replica" in found["settings"].seen


def test_a_paused_pool_and_a_paused_night_are_warnings(team: Team) -> None:
    team.ask("PATCH", "/work_pools/slipway", {"is_paused": True})
    nightly = team.ask("GET", "/deployments/name/release/nightly")
    team.ask("PATCH", f"/deployments/{nightly['id']}", {"paused": True})
    found = team.look()
    warned = {name for name, row in found.items() if row.state != "ok"}
    assert {"Prefect: work pool", "Prefect: next night"} <= warned
    assert not [row for row in found.values() if row.state == "failed"]


@pytest.mark.parametrize("name", ["slipway-github-hook", "slipway-test-results"])
def test_a_block_that_a_line_can_do_without_is_a_warning(team: Team, name: str) -> None:
    team.remove_block("secret", name)
    rows = team.look()
    assert {subject: row.state for subject, row in rows.items() if row.state != "ok"} == {
        f"block secret/{name}": "warning"
    }


def test_without_a_server_of_prefect_its_row_fails_and_what_needs_no_block_is_checked(team: Team) -> None:
    with talking_to(PrefectApi(f"http://{NOWHERE}", None)):
        found = team.look()
    assert {name for name, row in found.items() if row.state == "failed"} == {"Prefect: server"}
    for name in ("repository", "registry: reached", "Azure: Entra ID reached", "production: DNS"):
        assert found[name].state == "ok", found[name]


def test_a_held_lease_lets_the_policy_for_pods_be_tried_and_nothing_is_written(team: Team) -> None:
    team.cluster.holder = "a-run"
    found = team.look()
    assert found["production: admission policies"].seen.endswith("pods of foreign images are refused.")
    asks = ("reviews", "/token")  # which the server answers and keeps nothing of
    posts = [path.partition("?") for method, path in team.cluster.asked if method == "POST"]
    writes = [query for path, _, query in posts if not path.endswith(asks)]
    assert all("dryRun=All" in query for query in writes)
    assert writes


def test_it_leaves_nothing_behind(team: Team) -> None:
    found = team.look()
    assert found["results storage: write"].state == "ok"
    assert not list((team.folder / "results").rglob("*.*"))
    assert not [path for path in (team.folder / "results").rglob("*") if path.is_file()]
    listed = httpx.get(f"{team.store.address}/models?list-type=2", trust_env=False).text
    assert "<Key>digits/latest.json</Key>" in listed
    assert "slipway-doctor" not in listed
    assert team.registry.asked[-1].startswith("DELETE /v2/team/app/blobs/uploads/")


def test_what_it_says_holds_no_secret(team: Team) -> None:
    wrong_login(team)
    wrong_secret(team)
    said = repr(team.look())
    for secret in (
        SECRET,
        "a-token-of-the-account",
        "a-token-of-the-login",
        PASSWORD,
        "0123456789abcdef",
    ):
        assert secret not in said


def test_rights_that_the_server_can_not_list_are_a_warning(team: Team) -> None:
    a_right_is_missing(team)
    team.cluster.incomplete = True
    found = team.look()
    assert {name: row.state for name, row in found.items() if row.state != "ok"} == {
        "production: rights": "warning"
    }


@pytest.fixture
def administrated(team: Team) -> Team:
    """A team whose shell has an administrator's context, and whose registry has an image."""
    kubeconfig = team.folder / "kubeconfig"
    kubeconfig.write_text(team.cluster.kubeconfig.replace(team.cluster.login, team.cluster.token))
    team.add(f'kubeconfig = "{kubeconfig}"')
    team.registry.latest = json.dumps(POINTER.to_index(OCI_MANIFEST, 1, "linux/amd64")).encode()
    return team


def test_nodes_pull_the_newest_image_where_that_is_asked_for(administrated: Team) -> None:
    found = administrated.look(attach=True)
    image = f"{administrated.registry.address}/team/app@{POINTER.digest}"
    assert found["production: pull by a node"].seen == f"A node of there pulled {image}."
    assert {name: row for name, row in found.items() if row.state != "ok"} == {}
    assert administrated.cluster.pods_of == {}


def test_a_pod_that_is_not_let_in_fails_the_row_of_the_nodes(administrated: Team) -> None:
    administrated.cluster.quota = "exceeded quota: slipway"
    found = administrated.look(attach=True)
    failed = {name: row.seen for name, row in found.items() if row.state == "failed"}
    assert failed.keys() == {"production: pull by a node"}
    assert "exceeded quota" in failed["production: pull by a node"]


def test_without_an_image_no_pull_is_tried(administrated: Team) -> None:
    administrated.registry.latest = b""
    administrated.registry.pull = 404
    row = administrated.look(attach=True)["production: pull by a node"]
    assert (row.state, row.checked) == ("warning", False)
    assert row.seen.endswith("has no `latest` yet.")
