"""What slipway.toml says of an environment, as the cluster's objects have it."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from deployments.cluster import manifests
from deployments.cluster.rules import Rules, egress_rule, image_pattern, own_image, rules_of
from flows.config.load import load
from flows.config.schema import Egress, Environment, Quota

OURS = "registry.example.com/team/app"
DIGEST = f"sha256:{'0a' * 32}"
PROXY = "mcr.microsoft.com/oss/istio/proxyv2"


def objects(**changed: Any) -> dict[tuple[str, str], dict[str, Any]]:
    """What the bootstrap creates, by kind and name."""
    rules = Rules(**{"environment": "live", "namespace": "prod", "repository": OURS, **changed})
    return {(o["kind"], o["metadata"]["name"]): o for o in manifests.objects(rules, None)}


def policy(what: str, **changed: Any) -> dict[str, Any]:
    spec: dict[str, Any] = objects(**changed)["ValidatingAdmissionPolicy", f"slipway-{what}-prod"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("image", "allowed"),
    [
        (f"{OURS}@{DIGEST}", True),
        (OURS, False),
        (f"{OURS}:latest", False),
        (f"{OURS}:latest@{DIGEST}", False),
        (f"{OURS}@{DIGEST}0", False),
        (f"{OURS}2@{DIGEST}", False),
        (f"{OURS}/other@{DIGEST}", False),
        (f"evil.test/{OURS}@{DIGEST}", False),
        (f"registryXexample.com/team/app@{DIGEST}", False),
        (f"{OURS}@sha256:{'A' * 64}", False),
        (f"{OURS}@{DIGEST}\nevil.test/app", False),
    ],
)
def test_the_apps_images_are_those_of_its_repository_by_digest(image: str, allowed: bool) -> None:
    assert bool(re.search(own_image(OURS), image)) == allowed


@pytest.mark.parametrize(
    ("entry", "image", "allowed"),
    [
        (PROXY, PROXY, True),
        (PROXY, f"{PROXY}:1.27.3", True),
        (PROXY, f"{PROXY}@{DIGEST}", True),
        (PROXY, f"{PROXY}:1.27.3@{DIGEST}", True),
        (PROXY, f"{PROXY}-debug:1.27.3", False),
        (PROXY, f"evil.test/{PROXY}", False),
        (PROXY, f"{PROXY}:1@evil", False),
        (f"{PROXY}:1.27.3", f"{PROXY}:1.27.3", True),
        (f"{PROXY}:1.27.3", f"{PROXY}:1.27.3@{DIGEST}", True),
        (f"{PROXY}:1.27.3", f"{PROXY}:1x27.3", False),
        (f"{PROXY}:1.27.3", PROXY, False),
        (f"{PROXY}:1.27.*", f"{PROXY}:1.27.12", True),
        (f"{PROXY}:1.27.*", f"{PROXY}:1.28.0", False),
        (f"{PROXY}@{DIGEST}", f"{PROXY}@{DIGEST}", True),
        (f"{PROXY}@{DIGEST}", f"{PROXY}:1.27.3", False),
        ("localhost:5001/teams/*", f"localhost:5001/teams/app@{DIGEST}", True),
        ("localhost:5001/teams/*", f"localhost:5001/teams/app/more@{DIGEST}", False),
        ("localhost:5001/teams/app", "localhost:5001/teams/app:1", True),
        ("busybox:1.36", "busybox:1.36", True),
        ("busybox", "evil.test/busybox", False),
        ("busybox", "busybox/evil", False),
    ],
)
def test_an_entry_lets_in_a_repository_a_tag_or_a_digest(entry: str, image: str, allowed: bool) -> None:
    assert bool(re.search(image_pattern(entry), image)) == allowed


@pytest.mark.parametrize(
    "entry",
    ["*", "*/app", "registry.*/app", "registry.test:*/app", "app@sha256:*", "an app", "", "a\nb", '"]'],
)
def test_an_entry_that_could_mean_any_registry_is_refused(entry: str) -> None:
    with pytest.raises(ValidationError, match="must be an image's repository"):
        environment(allowed_images=[entry])


def test_the_pod_policy_names_the_images_that_settings_allow_and_the_key_for_more() -> None:
    found = policy("pods", allowed_images=[PROXY], service_accounts=["dapr"])
    variables = {one["name"]: one["expression"] for one in found["variables"]}
    assert re.escape(OURS).replace("\\", "\\\\") in variables["allowed"]
    assert "proxyv2" in variables["allowed"]
    assert variables["accounts"] == '["dapr"]'
    assert variables["ours"] == "'^slipway-(registry|release-[0-9]+)$'"
    assert "[environments.live] allowed_images" in found["validations"][0]["messageExpression"]


def test_the_pod_policy_binds_every_user() -> None:
    found = policy("pods")
    assert "matchConditions" not in found
    assert found["failurePolicy"] == "Fail"
    covered = {kind for rule in found["matchConstraints"]["resourceRules"] for kind in rule["resources"]}
    assert {"pods", "pods/ephemeralcontainers", "deployments", "jobs", "cronjobs", "statefulsets"} <= covered


def test_every_policy_has_its_binding() -> None:
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    named = {kind: {name for k, name in objects() if k == kind} for kind in kinds}
    expected = {f"slipway-{what}-prod" for what in manifests.POLICIES}
    assert named == dict.fromkeys(kinds, expected)


def test_the_fence_comes_last_as_it_is_what_the_bootstrap_waits_for() -> None:
    kinds = [name for kind, name in objects() if kind == "ValidatingAdmissionPolicyBinding"]
    assert kinds[-1] == "slipway-fence-prod"


def test_by_default_no_pod_of_the_namespace_opens_a_connection() -> None:
    spec = objects()["NetworkPolicy", "slipway-egress"]["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Egress"], "egress": []}


@pytest.mark.parametrize(
    ("egress", "rule"),
    [
        (
            Egress.model_validate({"cidr": "10.1.2.0/24", "ports": [5432]}),
            {
                "to": [{"ipBlock": {"cidr": "10.1.2.0/24"}}],
                "ports": [{"port": 5432, "protocol": "TCP"}],
            },
        ),
        (
            Egress(namespace="kube-system", ports=(53,), protocol="UDP"),
            {
                "to": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
                ],
                "ports": [{"port": 53, "protocol": "UDP"}],
            },
        ),
        (
            Egress.model_validate({"cidr": "0.0.0.0/0"}),
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]},
        ),
        (
            Egress.model_validate({"cidr": "::/0"}),
            {"to": [{"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::254/128"]}}]},
        ),
        (
            Egress.model_validate({"cidr": "169.254.169.254/32", "ports": [80]}),
            {
                "to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}],
                "ports": [{"port": 80, "protocol": "TCP"}],
            },
        ),
    ],
    ids=["network", "namespace", "everywhere", "everywhere by IPv6", "the metadata address itself"],
)
def test_what_settings_list_is_opened_and_no_machines_identity_by_chance(
    egress: Egress, rule: dict[str, Any]
) -> None:
    assert egress_rule(egress) == rule
    assert objects(egress=[egress])["NetworkPolicy", "slipway-egress"]["spec"]["egress"] == [rule]


def test_the_namespace_has_a_quota_and_a_ceiling_for_containers() -> None:
    quota = Quota(pods=80, cpu="20", memory="64Gi", container_memory="4Gi")
    found = objects(quota=quota)
    hard = {"pods": "80", "requests.cpu": "20", "requests.memory": "64Gi"}
    assert found["ResourceQuota", "slipway"]["spec"] == {"hard": hard}
    [limits] = found["LimitRange", "slipway"]["spec"]["limits"]
    assert limits["max"] == {"memory": "4Gi"}
    assert objects()["ResourceQuota", "slipway"]["spec"] == {"hard": {"pods": "50"}}


def test_a_quota_without_room_for_a_rollout_is_refused() -> None:
    assert environment(replicas=25).replicas == 25
    with pytest.raises(ValidationError, match="a rollout of 26 replicas needs 52"):
        environment(replicas=26)
    assert environment(replicas=26, quota={"pods": 60}).quota.pods == 60


@pytest.mark.parametrize("egress", [{}, {"cidr": "10.0.0.0/8", "namespace": "other"}, {"cidr": "10.0.0.1/8"}])
def test_an_egress_that_names_no_place_or_two_is_refused(egress: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        environment(egress=[egress])


def test_the_namespace_says_which_rules_it_was_prepared_with() -> None:
    def notes(**changed: Any) -> dict[str, str]:
        found: dict[str, str] = objects(**changed)["Namespace", "prod"]["metadata"]["annotations"]
        return found

    assert notes() == notes()
    assert notes()["slipway.dev/prepared"] == notes(allowed_images=[PROXY])["slipway.dev/prepared"]
    for changed in ({"allowed_images": [PROXY]}, {"quota": Quota(pods=60)}, {"repository": f"{OURS}2"}):
        assert notes(**changed)["slipway.dev/rules"] != notes()["slipway.dev/rules"]


def test_the_rules_of_an_environment_are_those_of_slipway_toml() -> None:
    settings = load()
    rules = rules_of(settings, "production")
    assert rules.repository == f"{settings.registry.address}/{settings.registry.repository}"
    assert (rules.environment, rules.namespace) == ("production", "production")


@pytest.mark.parametrize(
    ("login", "kind", "name"),
    [(None, "ServiceAccount", "slipway-login"), ("an-object-id", "User", "an-object-id")],
)
def test_one_login_may_create_the_releasing_accounts_tokens_alone(
    login: str | None, kind: str, name: str
) -> None:
    made = objects(login=login)
    [rule] = made["Role", "slipway-login"]["rules"]
    assert (rule["resources"], rule["resourceNames"], rule["verbs"]) == (
        ["serviceaccounts/token"],
        ["slipway-release"],
        ["create"],
    )
    [subject] = made["RoleBinding", "slipway-login"]["subjects"]
    assert (subject["kind"], subject["name"]) == (kind, name)


def environment(**changed: Any) -> Environment:
    least = {"context": "c", "namespace": "n", "overlay": "o", "public_url": "http://app.test"}
    return Environment.model_validate({**least, **changed})
