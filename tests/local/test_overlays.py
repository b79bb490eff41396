"""The manifests as each overlay renders them; what they do is tested where they are applied."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.local.cluster import kubernetes_binary
from flows.config.load import CHECKOUT, load
from flows.core.build.image import Image
from flows.core.errors import ManifestsRejected
from flows.services.kubernetes import manifests
from flows.services.kubernetes.manifests import KubernetesManifests, Overlay

pytestmark = pytest.mark.timeout(1800)  # the first test on a machine compiles Kubernetes

IMAGE = Image("registry.example.com/classifier", f"sha256:{'0' * 64}")


@cache
def rendered(name: str) -> dict[str, dict[str, Any]]:
    """The objects by kind, for all tests: no test changes them."""
    overlay = Overlay(CHECKOUT / "deployments" / "kubernetes", name, name, "classifier", 3)
    kubectl = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    found = manifests.render(overlay, IMAGE, kubectl, origin="the overlay")
    return {item["kind"]: item for item in found.objects}


def test_two_environments_share_a_clusters_nodes() -> None:
    ports = [
        port
        for name in ("staging", "production")
        for spec in [rendered(name)["Service"]["spec"]]
        for port in (spec["ports"][0]["nodePort"], spec["healthCheckNodePort"])
    ]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("name", ["aks-staging", "aks-production"])
def test_on_azure_the_cloud_chooses_ports_and_gives_a_name(name: str) -> None:
    service = rendered(name)["Service"]
    label = "service.beta.kubernetes.io/azure-dns-label-name"
    assert service["metadata"]["annotations"] == {label: f"slipway-{name.removeprefix('aks-')}"}
    assert "nodePort" not in service["spec"]["ports"][0]
    assert service["spec"]["externalTrafficPolicy"] == "Local"


@pytest.mark.parametrize("name", ["aks-staging", "aks-production", "aks-ingress"])
def test_on_azure_the_nodes_pull_by_an_identity_of_their_own(name: str) -> None:
    assert "imagePullSecrets" not in rendered(name)["Deployment"]["spec"]["template"]["spec"]


def test_behind_an_ingress_the_service_has_no_address_of_its_own() -> None:
    objects = rendered("aks-ingress")
    ingress, service = objects["Ingress"], objects["Service"]["spec"]
    assert service["type"] == "ClusterIP"
    assert not {"externalTrafficPolicy", "healthCheckNodePort"} & service.keys()
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "classifier", "port": {"name": service["ports"][0]["name"]}}
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "classifier-tls"}]
    assert "cert-manager.io/cluster-issuer" in ingress["metadata"]["annotations"]
    assert "edited in" not in json.dumps(ingress), "A patch reaches every field that users edit."


@pytest.mark.parametrize("name", ["staging", "production", "aks-staging", "aks-production", "aks-ingress"])
def test_probes_have_a_port_that_no_service_leads_to(name: str) -> None:
    objects = rendered(name)
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": load().app.port, "probes": load().app.probed_at}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "probes"
    assert [port["targetPort"] for port in objects["Service"]["spec"]["ports"]] == ["http"]


def test_a_network_policy_opens_the_apps_ports_alone_and_no_way_out() -> None:
    policy = rendered("production")["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"port": "http"}, {"port": "probes"}]}]
    assert policy.get("egress", []) == []


CONTAINER = """
apiVersion: apps/v1
kind: Deployment
metadata: { name: classifier }
spec:
  template:
    spec:
      containers:
        - """
"""What a patch of a container of the app begins with."""

SIDECAR = CONTAINER + "{ name: proxy, image: proxy.example.com/proxy }"

WORKER = """
apiVersion: apps/v1
kind: Deployment
metadata: { name: cache }
spec:
  replicas: 1
  selector: { matchLabels: { app: cache } }
  template:
    metadata: { labels: { app: cache } }
    spec: { containers: [{ name: redis, image: "redis:7" }] }
"""

JOB = """
apiVersion: batch/v1
kind: Job
metadata: { name: migrate }
spec:
  template:
    spec: { restartPolicy: Never, containers: [{ name: migrate, image: app }] }
"""

EQUALS = """
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { OPERATOR: "=" }
"""

ENV_FROM = CONTAINER + "{ name: app, envFrom: [{ configMapRef: { name: settings } }] }"


def rendered_with(
    tmp_path: Path, *, patch: str = "", resources: tuple[str, ...] = (), image: Image = IMAGE
) -> KubernetesManifests:
    """Staging's, with further resources in the base, and a patch."""
    folder = tmp_path / "kubernetes"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(CHECKOUT / "deployments" / "kubernetes", folder)
    for number, text in enumerate(resources):
        (folder / "base" / f"further-{number}.yaml").write_text(text)
        extend(folder / "base", "resources", f"further-{number}.yaml")
    if patch:
        (folder / "overlays" / "staging" / "patch.yaml").write_text(patch)
        extend(folder / "overlays" / "staging", "patches", {"path": "patch.yaml"})
    (folder / "overlays" / "dangling").symlink_to("nowhere")
    kubectl = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    overlay = Overlay(folder, "staging", "staging", "classifier", 3)
    return manifests.render(overlay, image, kubectl, origin="the overlay")


def extend(folder: Path, key: str, entry: object) -> None:
    file = folder / "kustomization.yaml"
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, key: [*content.get(key, []), entry]}))


def named(found: KubernetesManifests, kind: str, name: str = "") -> dict[str, Any]:
    return next(o for o in found.objects if o["kind"] == kind and name in o["metadata"]["name"])


def test_the_apps_container_is_the_one_that_runs_the_image_wherever_it_stands(tmp_path: Path) -> None:
    """kustomize puts a container that a patch adds before all others."""
    found = rendered_with(tmp_path, patch=SIDECAR)
    template = named(found, "Deployment")["spec"]["template"]
    assert [one["name"] for one in template["spec"]["containers"]] == ["proxy", "app"]
    assert found.container == "app"


def test_of_two_containers_that_run_the_image_the_app_is_the_one_with_the_port(tmp_path: Path) -> None:
    same = SIDECAR.replace("proxy.example.com/proxy", f"{IMAGE}")
    assert rendered_with(tmp_path, patch=same).container == "app"


def test_the_bases_selectors_take_in_the_pods_of_no_other_workload(tmp_path: Path) -> None:
    found = rendered_with(tmp_path, resources=(WORKER, JOB))
    own = named(found, "Deployment", "classifier")["spec"]["template"]["metadata"]["labels"]
    others = [named(found, "Deployment", "cache"), named(found, "Job")]
    selectors = [
        named(found, "Service")["spec"]["selector"],
        named(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        named(found, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        named(found, "Deployment", "classifier")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= own.items()
        for other in others:
            labels = other["spec"]["template"].get("metadata", {}).get("labels", {})
            assert not selector.items() <= labels.items()


def test_a_workload_that_the_service_would_take_in_is_refused(tmp_path: Path) -> None:
    worker = WORKER.replace("app: cache", "app.kubernetes.io/name: classifier, tier: cache")
    with pytest.raises(ManifestsRejected, match="Service classifier selects the pods of cache as well"):
        rendered_with(tmp_path, resources=(worker,))


def test_a_job_of_another_image_is_another_job(tmp_path: Path) -> None:
    newer = Image(IMAGE.repository, f"sha256:{'1' * 64}")
    first, same, other = (
        named(rendered_with(tmp_path, resources=(JOB,), image=image), "Job")["metadata"]["name"]
        for image in (IMAGE, IMAGE, newer)
    )
    assert first == same != other


def test_an_equals_sign_is_a_value_like_any_other(tmp_path: Path) -> None:
    """kustomize writes it without the quotes that it was given."""
    assert named(rendered_with(tmp_path, resources=(EQUALS,)), "ConfigMap")["data"] == {"OPERATOR": "="}


def test_a_changed_config_map_changes_the_template_of_the_pods_that_read_it(tmp_path: Path) -> None:
    def template(settings: str) -> object:
        found = rendered_with(tmp_path, patch=ENV_FROM, resources=(settings,))
        return named(found, "Deployment")["spec"]["template"]

    assert template(EQUALS) == template(EQUALS)
    assert template(EQUALS) != template(EQUALS.replace('"="', '"<"'))


def test_manifests_that_kustomize_can_not_render_are_named_with_the_command_that_says_why(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "overlays" / "staging"
    broken.mkdir(parents=True)
    (broken / "kustomization.yaml").write_text("resources: [missing.yaml]\n")
    kubectl = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    message = "could not render overlay 'staging' in the overlay.*kubectl kustomize"
    with pytest.raises(ManifestsRejected, match=message) as wrong:
        manifests.render(
            Overlay(tmp_path, "staging", "staging", "classifier", 1), IMAGE, kubectl, origin="the overlay"
        )
    assert "missing.yaml" in wrong.value.details


def test_a_remote_base_is_refused_before_kustomize_is_asked(tmp_path: Path) -> None:
    staging = tmp_path / "overlays" / "staging"
    staging.mkdir(parents=True)
    (staging / "kustomization.yaml").write_text("resources: [github.com/team/base]\n")
    overlay = Overlay(tmp_path, "staging", "staging", "classifier", 1)
    with pytest.raises(ManifestsRejected, match=r"github\.com/team/base.* from outside of the folder"):
        manifests.render(overlay, IMAGE, "no kubectl is asked", origin="the overlay")


def test_kustomize_downloads_nothing_also_where_a_patch_names_the_address(tmp_path: Path) -> None:
    """A transformer's configuration may itself be rendered, and nothing but kustomize sees the outcome."""
    staging, patches = tmp_path / "overlays" / "staging", tmp_path / "overlays" / "staging" / "patches"
    patches.mkdir(parents=True)
    (staging / "kustomization.yaml").write_text("transformers: [patches]\n")
    (patches / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "resources": ["one.yaml"],
                "patches": [
                    {
                        "target": {"kind": "PatchTransformer"},
                        "patch": "- {op: replace, path: /path, value: 'https://example.com/patch.yaml'}\n",
                    }
                ],
            }
        )
    )
    (patches / "one.yaml").write_text(
        "{apiVersion: builtin, kind: PatchTransformer, metadata: {name: one}, path: local.yaml}"
    )
    kubectl = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    overlay = Overlay(tmp_path, "staging", "staging", "classifier", 1)
    with pytest.raises(ManifestsRejected, match=r"https://example.com/patch.yaml.*127\.0\.0\.1:9"):
        manifests.render(overlay, IMAGE, kubectl, origin="the overlay")
