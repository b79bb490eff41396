"""The overlay behind an ingress controller: a real API server takes what it renders."""

import json
import subprocess
from pathlib import Path

from deployments.local.cluster import kubernetes_binary
from flows.config.load import CHECKOUT
from flows.core.build.image import Image
from flows.services.kubernetes import manifests
from flows.services.kubernetes.manifests import Overlay

IMAGE = Image("registry.example.com/classifier", f"sha256:{'0' * 64}")


def test_a_server_takes_the_ingress_and_all_other_objects(cluster: Path) -> None:
    kubectl = str(kubernetes_binary.kubectl(kubernetes_binary.ensure(print)))
    folder = CHECKOUT / "deployments" / "kubernetes"
    overlay = Overlay(folder, "aks-ingress", "default", "classifier", 3)
    rendered = manifests.render(overlay, IMAGE, kubectl, origin="the overlay")
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": rendered.objects})
    apply = ("apply", "--server-side", "--dry-run=server", "--filename=-")
    answered = subprocess.run(
        [kubectl, f"--kubeconfig={cluster}", "--namespace=default", *apply],
        input=objects,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answered.returncode == 0, answered.stderr
    assert "ingress.networking.k8s.io/classifier serverside-applied (server dry run)" in answered.stdout
    assert answered.stdout.count("(server dry run)") == len(rendered.objects)
