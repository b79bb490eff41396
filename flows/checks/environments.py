"""An environment: its cluster, as the account that releases, and the way by which users come to it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import yaml

from flows.checks.check import Check, CheckFailed, CheckWarning
from flows.checks.prefect_server import block_row
from flows.checks.reaching import ClockOffsets, note_offset, route
from flows.checks.systems import AZURE
from flows.config.version import CLUSTER_OBJECTS, cluster_edition
from flows.core.doctor.pulls import last_pull, was_refused
from flows.core.doctor.rights import Rule, granted_rules, lacking
from flows.core.errors import EdgeNotInOrder, FenceLost, PodNotAllowed, SlipwayError
from flows.services.kubernetes import pod_policy, review
from flows.services.kubernetes.account import ACCOUNT
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.fence import LEASE, LEASES, NO_HOLDER
from flows.services.verification.public_endpoint import PublicEndpoint
from flows.services.verification.tls import EXPIRES_SOON
from flows.stages.context import RunContext

BOOTSTRAP = "Let an administrator run: python -m deployments.cluster.bootstrap"

TELL_BEFORE = timedelta(days=21)
"""A certificate that ends within it is a warning; within `EXPIRES_SOON` a release refuses it."""


@dataclass
class EnvironmentChecks:
    """Those of one environment, with the clients of `run`."""

    run: RunContext
    name: str
    offsets: ClockOffsets
    is_reached: bool = False
    """Whether the API server has answered."""

    def all(self) -> Iterator[Check]:
        """The cluster, the account and what it may do; then DNS, load balancer and certificate."""
        wanted = self.run.settings.environment(self.name)
        block = (block_row(f"secret/{wanted.credentials}"),) if wanted.credentials else ()
        needs = (*block, *((AZURE,) if wanted.aks else ()))
        cluster, account = self.row("cluster"), self.row("account")
        yield Check(cluster, "asked the API server for its version", self._reached, needs)
        yield Check(account, "asked as whom we are signed in (SelfSubjectReview)", self._account, (cluster,))
        yield Check(
            self.row("rights"),
            "compared SelfSubjectRulesReview with what the bootstrap grants",
            self._rights,
            (account,),
        )
        yield Check(self.row("fence"), "tried a write without the Lease (a dry run)", self._fence, (account,))
        yield Check(
            self.row("admission policies"),
            "read the edition of the namespace, and tried a pod of a foreign image (a dry run)",
            self._policies,
            (self.row("fence"),),
        )
        yield Check(self.row("last pull"), "read the records of releases", self._last_pull, (account,))
        dns, balancer = self.row("DNS"), self.row("load balancer")
        yield Check(dns, f"looked up the host of {wanted.public_url}", self._dns)
        yield Check(balancer, f"connected to {wanted.public_url}", self._load_balancer, (dns,), (cluster,))
        if self._edge.is_https:
            tried = f"looked at the certificate of {wanted.public_url}"
            yield Check(self.row("certificate"), tried, self._certificate, (balancer,))

    def row(self, what: str) -> str:
        """The name of a row of this environment."""
        return f"{self.name}: {what}"

    @cached_property
    def _cluster(self) -> Cluster:
        return self.run.cluster(self.name)

    @cached_property
    def _edge(self) -> PublicEndpoint:
        return self.run.edge(self.name)

    def _reached(self) -> str:
        api, asked = self._cluster.api, datetime.now(UTC)
        note_offset(api.date(), f"the cluster of {self.name}", asked, self.offsets)
        self.is_reached = True
        return f"{api.server} answers, {route(api.server)}."

    def _account(self) -> str:
        return f"The API server knows us as {review.user_name(self._cluster.api)}."

    def _rights(self) -> str:
        namespace = self._cluster.namespace
        found = review.rights(self._cluster.api, namespace)
        missing = "; ".join(lacking(needed_rights(), found.rules))
        if missing and not found.complete:
            raise CheckWarning(
                f"The API server can't list all rights of this account; not listed: {missing}.",
                "Check them with `kubectl auth can-i` as that account.",
            )
        if missing:
            raise CheckFailed(f"In {namespace} this account may not: {missing}.", BOOTSTRAP)
        return f"It may do in {namespace} all that releases need."

    def _fence(self) -> str:
        self._cluster.require_fence()
        return f"What this account writes to {self._cluster.namespace} without the Lease is refused."

    def _policies(self) -> str:
        cluster, edition = self._cluster, cluster_edition()
        cluster.require_edition(edition)
        prepared = f"{cluster.namespace} was prepared with edition {edition}"
        try:
            pod_policy.try_foreign(cluster.api, cluster.namespace, self._held_fence())
        except PodNotAllowed:
            return f"{prepared}, and pods of foreign images are refused."
        except FenceLost:  # no run holds the Lease: the fence refuses first
            return f"{prepared}; releases try the policy for pods while they hold the Lease."
        raise CheckFailed(f"{cluster.namespace} lets pods of any image run.", BOOTSTRAP)

    def _last_pull(self) -> str:
        record = last_pull(self.run.releases(self.name).history())
        if record is None:
            return "No release has needed a pull yet."
        if was_refused(record):
            raise CheckFailed(
                f"The nodes were refused at {record}, {record.started:%Y-%m-%d %H:%M} UTC: {record.reason}",
                "Correct the block at [registry] pull_credentials and run the bootstrap, or give the nodes' "
                "identity the role AcrPull. Then release again.",
            )
        return f"The nodes pulled the image of {record}, {record.started:%Y-%m-%d %H:%M} UTC."

    def _held_fence(self) -> str:
        """The fence of the run that holds the Lease now, with which nothing but dry runs is asked here."""
        path = f"/{LEASES}/namespaces/{self._cluster.namespace}/leases/{LEASE}"
        spec = (self._cluster.api.get(path) or {"spec": {}})["spec"]
        holder = spec.get("holderIdentity")
        return f"{holder}/{spec.get('leaseTransitions', 0)}" if holder else NO_HOLDER

    def _dns(self) -> str:
        return f"{self._edge.host} leads to {', '.join(self._edge.resolve())}."

    def _load_balancer(self) -> str:
        said: list[str] = []
        accepting = self._accepting(said)
        if len(accepting) < len(self._edge.resolve()):
            raise CheckWarning(" ".join(said), "Check that all of the load balancer's addresses are served.")
        return " ".join([f"Connections are accepted at {', '.join(accepting)}.", *said])

    def _accepting(self, said: list[str]) -> tuple[str, ...]:
        """The addresses that accept connections. The Service says what the load balancer is, if it can."""
        reported: tuple[str, ...] = ()
        if self.is_reached:
            with suppress(SlipwayError):  # such as a missing right, which has its own row
                reported = self._cluster.service_addresses()
        return self._edge.require_reached(self._edge.resolve(), reported, said.append)

    def _certificate(self) -> str:
        accepting = self._accepting([])
        self._edge.require_certificates(accepting, EXPIRES_SOON)
        try:
            self._edge.require_certificates(accepting, TELL_BEFORE)
        except EdgeNotInOrder as soon:
            raise CheckWarning(soon.happened, soon.remedy) from soon
        return f"It is accepted, and valid for more than {TELL_BEFORE.days} days."


def needed_rights() -> list[Rule]:
    """What the bootstrap grants the account that releases."""
    text = (CLUSTER_OBJECTS / "account.yaml").read_text()
    return granted_rules(one for one in yaml.safe_load_all(text) if one["metadata"]["name"] == ACCOUNT)
