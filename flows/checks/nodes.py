"""Whether the nodes of clusters may pull the newest image. It takes as long as a pull does."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from flows.checks.check import Check, CheckSkipped
from flows.services.kubernetes.attach import PULL_SECRET, TIMEOUT
from flows.stages.attach import administrators_cluster, try_pull
from flows.stages.context import RunContext

WITHIN = TIMEOUT + 60
"""Seconds for all pulls, which go on side by side."""


@dataclass
class NodeChecks:
    """With the clients of `run`; pods are created as the administrator of `context`."""

    run: RunContext

    def all(self) -> Iterator[Check]:
        """One for each environment."""
        for name in self.run.settings.environments:
            tried = "had a pod pull the image that `latest` names, and deleted it"
            yield Check(f"{name}: pull by a node", tried, partial(self._pull, name))

    def _pull(self, name: str) -> str:
        cluster = administrators_cluster(self.run, name)
        secret = PULL_SECRET if self.run.settings.registry.pull_credentials else None
        image = try_pull(self.run, name, cluster, secret=secret)
        if image is None:
            raise CheckSkipped(f"{self.run.registry.name} has no `latest` yet")
        return f"A node of {cluster.context} pulled {image}."
