"""A pull beside a container that a webhook of the cluster puts into every pod, as a service mesh does."""

from collections.abc import Iterator

import pytest

from flows.core.build.image import Image
from flows.core.errors import ClusterNotPrepared
from flows.services.kubernetes import kubeconfig
from flows.services.kubernetes.api import KubernetesApi
from flows.services.kubernetes.attach import attach
from tests.stand_ins.doctors_cluster import DoctorsCluster, doctors_cluster

IMAGE = Image("registry.test/team/app", f"sha256:{'1' * 64}")
SIDECAR = {"name": "mesh", "imageID": "sha256:2", "state": {"running": {}}}
DENIED = {"state": {"waiting": {"reason": "ErrImagePull", "message": "401 Unauthorized"}}}


@pytest.fixture
def cluster() -> Iterator[DoctorsCluster]:
    with doctors_cluster() as found:
        found.beside = [SIDECAR]
        yield found


def pull(cluster: DoctorsCluster) -> None:
    access = kubeconfig.access(cluster.kubeconfig.replace(cluster.login, cluster.token), "production")
    attach(KubernetesApi(access, access.context), "production", IMAGE, patience=0)


def test_the_image_of_the_app_is_found_pulled(cluster: DoctorsCluster) -> None:
    pull(cluster)
    assert cluster.pods_of == {}


def test_a_sidecar_that_runs_does_not_pass_for_the_app(cluster: DoctorsCluster) -> None:
    cluster.pull = DENIED
    with pytest.raises(ClusterNotPrepared, match="refuses the nodes of 'there': 401 Unauthorized"):
        pull(cluster)
    assert cluster.pods_of == {}
