"""One more registry for the nodes of the embedded cluster, which sign in there by themselves."""

from collections.abc import Iterator
from contextlib import contextmanager

from deployments.local.cluster.nodes import NODES
from deployments.local.docker.engine import connect
from deployments.local.instance import Instance

FOLDER = "/run/slipway/registries"
"""Where containerd looks for registries: see `config_path` in its configuration."""

HOST = """\
server = "{url}"
[host."{url}"]
  capabilities = ["pull", "resolve"]
  [host."{url}".header]
    Authorization = "Bearer {token}"
"""


@contextmanager
def pulled_by_nodes(instance: Instance, address: str, url: str, token: str) -> Iterator[None]:
    """Until the end, images whose names begin with the address are pulled from that URL, with that token.

    So do nodes of AKS, to which a plugin of the kubelet gives their identity's token.
    """
    folder, content = f"{FOLDER}/{address}", HOST.format(url=url, token=token)
    _on_each_node(instance, 'mkdir -p "$0" && printf %s "$1" >"$0/hosts.toml"', folder, content)
    try:
        yield
    finally:
        _on_each_node(instance, 'rm -r "$0"', folder)


def _on_each_node(instance: Instance, script: str, *arguments: str) -> None:
    for node in NODES:
        container = connect().containers.get(instance.container(node.role))
        done = container.exec_run(["sh", "-euc", script, *arguments])
        assert done.exit_code == 0, done.output
