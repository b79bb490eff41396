"""Which findings at the public endpoint keep a release from starting, and which one a release may mend."""

from flows.core.errors import EndpointFinding
from flows.core.release.decision import Observed


def stops_release(finding: EndpointFinding, live: Observed | None, *, is_rollback: bool = False) -> bool:
    """Whether a release must not start over what is `live`, because no release can mend this.

    No release changes a name that leads to another machine, or a wrong certificate; but the first release may
    bring the certificate, as an Ingress does. A name without an address, and a load balancer that accepts no
    connection, may mean that the Service or replicas are missing, which a release mends. Where all replicas
    are ready, something else is broken. A rollback is tried even then.
    """
    if finding == "elsewhere":
        return True
    if finding == "certificate":
        return is_rollback or live is not None
    return is_whole(live) and not is_rollback


def is_whole(live: Observed | None) -> bool:
    """Whether something is live, with all of its replicas."""
    return live is not None and live.whole
