"""Whether a later check that failed speaks against the release that is live."""

from flows.core.errors import SlipwayError
from flows.core.release.decision import Observed


def degraded_by(failure: SlipwayError, live: Observed | None) -> str:
    """Why what is `live` is degraded since that check; "" where it stays as it was.

    A fault of the infrastructure is never the release's: a node without room, or a load balancer, a DNS
    server or a firewall between this machine and the replicas. But an environment that is entirely down
    promotes nothing, whatever is at fault: no replica shows that the release is good.
    """
    if live is None or not (live.ready or live.asleep):
        return f"no replica is ready: {failure.happened}"
    return "" if failure.fault == "infrastructure" else failure.happened
