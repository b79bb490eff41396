"""What a refusal means that no API server gives, but a proxy or load balancer before it may."""

from pathlib import Path

import pytest

from flows.core.errors import ClusterUnavailable
from flows.services.kubernetes.api import KubernetesApi
from tests.stand_ins.http_server import JsonHandler, serving
from tests.support.kubeconfig import kubeconfig


class Proxy(JsonHandler):
    """Answers with a status that no specification names."""

    def do_GET(self) -> None:
        self.answer(520, {})


def test_a_status_of_a_proxy_alone_is_worth_another_try(tmp_path: Path) -> None:
    with serving(Proxy) as url:
        api = KubernetesApi(kubeconfig(tmp_path, "x", url), "x")
        with pytest.raises(ClusterUnavailable, match="it answered 520"):
            api.get("/version")
