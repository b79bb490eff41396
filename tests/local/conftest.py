"""The cluster that tests of nodes and of the edge have for themselves."""

from collections.abc import Iterator

import pytest

from deployments.local.cluster import kubernetes_binary
from deployments.local.docker import engine, images
from tests.local.cluster_under_test import Cluster, free_instance


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    client = engine.connect()
    instance = free_instance("cluster", tmp_path_factory.mktemp("cluster"))
    node_image = images.ensure(client, images.NODE, print)
    found = Cluster(client, instance, kubernetes_binary.ensure(print), node_image)
    try:
        found.up()
        yield found
    finally:
        engine.remove_all(client, instance)
