"""Stands in for an API server that takes long to apply an object: a proxy before the real one."""

import ssl
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import yaml

from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.own_certificate import own_certificate

PASSED_ON = ("Authorization", "Content-Type", "Accept")


@dataclass
class SlowApiServer:
    """`kubeconfig` leads there, with the credentials given; `hangs` is set once an apply waits."""

    kubeconfig: str = ""
    hangs: threading.Event = field(default_factory=threading.Event)


@contextmanager
def slow_api_server(kubeconfig: str, *, by_force: bool = False) -> Iterator[SlowApiServer]:
    """Never answers the first real apply, or the first one by force; everything else is passed on at once."""
    content = yaml.safe_load(kubeconfig)
    cluster = content["clusters"][0]["cluster"]
    authority = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
    found, over, own = SlowApiServer(), threading.Event(), own_certificate()

    class Handler(JsonHandler):
        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self._is_to_wait():
                found.hangs.set()
                over.wait()
                self.close_connection = True
                return
            headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
            answer = api.request(self.command, self.path, content=body, headers=headers)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def _is_to_wait(self) -> bool:
            is_apply = self.command == "PATCH" and "apply-patch" in self.headers["Content-Type"]
            is_real = "dryRun" not in self.path and ("force=true" in self.path or not by_force)
            return is_apply and is_real and not found.hangs.is_set()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    with (
        httpx.Client(base_url=cluster["server"], verify=authority, trust_env=False, timeout=60) as api,
        serving(Handler, own.server) as address,
    ):
        reached = {"server": address, "certificate-authority-data": b64encode(own.authority).decode()}
        there: dict[str, Any] = {**content["clusters"][0], "cluster": reached}
        found.kubeconfig = yaml.safe_dump({**content, "clusters": [there]})
        try:
            yield found
        finally:
            over.set()
