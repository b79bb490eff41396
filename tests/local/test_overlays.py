"""The manifests as each overlay renders them; what they do is tested where they are applied."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.local.cluster import kubernetes_binary
from flows.config.load import CHECKOUT
from flows.core.build.image import Image
from flows.core.errors import ManifestsRejected
from flows.services.kubernetes import manifests
from flows.services.kubernetes.manifests import Overlay

pytestmark = pytest.mark.timeout(1800)  # whoever comes first on a machine compiles Kubernetes

IMAGE = Image("registry.example.com/classifier", f"sha256:{'0' * 64}")


def rendered(name: str) -> dict[str, dict[str, Any]]:
    """The objects by kind."""
    overlay = Overlay(CHECKOUT / "deployments" / "kubernetes", name, name, "classifier", 3)
    kubectl = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    return {item["kind"]: item for item in manifests.render(overlay, IMAGE, kubectl).objects}


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


def test_a_network_policy_opens_the_apps_port_alone_and_no_way_out() -> None:
    policy = rendered("production")["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == [{"ports": [{"port": "http"}]}]
    assert policy.get("egress", []) == []


SIDECAR = """
apiVersion: apps/v1
kind: Deployment
metadata: { name: classifier }
spec:
  template:
    spec:
      containers:
        - { name: proxy, image: proxy.example.com/proxy }
"""


def test_the_apps_container_is_the_one_that_runs_the_image_wherever_it_stands(tmp_path: Path) -> None:
    """kustomize puts a container that a patch adds before all others."""
    folder = tmp_path / "kubernetes"
    shutil.copytree(CHECKOUT / "deployments" / "kubernetes", folder)
    overlay = folder / "overlays" / "staging"
    (overlay / "sidecar.yaml").write_text(SIDECAR)
    content = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    content["patches"] = [*content.get("patches", []), {"path": "sidecar.yaml"}]
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(content))
    kubectl = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    found = manifests.render(Overlay(folder, "staging", "staging", "classifier", 3), IMAGE, kubectl)
    deployment = next(item for item in found.objects if item["kind"] == "Deployment")
    assert [one["name"] for one in deployment["spec"]["template"]["spec"]["containers"]] == ["proxy", "app"]
    assert found.container == "app"


def test_manifests_that_kustomize_can_not_render_are_named_with_the_command_that_says_why(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "overlays" / "staging"
    broken.mkdir(parents=True)
    (broken / "kustomization.yaml").write_text("resources: [missing.yaml]\n")
    kubectl = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    told = f"could not render {broken}.*kubectl kustomize {broken}"
    with pytest.raises(ManifestsRejected, match=told) as wrong:
        manifests.render(Overlay(tmp_path, "staging", "staging", "classifier", 1), IMAGE, kubectl)
    assert "missing.yaml" in wrong.value.details
