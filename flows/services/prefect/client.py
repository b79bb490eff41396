"""How all our own requests to Prefect's API are sent, and a flow run as they read it.

Plain HTTP: importing Prefect's own client takes longer than most of what is asked here, and it retries for
longer than a delivery may wait.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from httpx_retries import Retry, RetryTransport

from flows.services.process.tls import context_for

TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})

TIMEOUT = httpx.Timeout(10, connect=2)

RETRY = Retry(
    total=4,
    backoff_factor=0.1,
    backoff_jitter=0.5,
    max_backoff_wait=2,
    allowed_methods=("GET", "POST", "PATCH", "PUT", "DELETE"),
    status_forcelist=(500, 502, 503, 504),
    retry_on_exceptions=(httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError),
)
"""At most three seconds of pauses: for a database that restarts and a kept connection that was closed.

Requests that change something are sent again too. So each must do no harm twice: a run is created with an
idempotency key.
"""


@dataclass(frozen=True)
class FlowRun:
    """A run as Prefect knows it.

    `state` is the state's type, as COMPLETED, `state_name` what people read, `message` what it says, `since`
    when it has been so. `begun` is how often it began to run.
    """

    id: str
    state: str
    tags: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    state_name: str = ""
    message: str = ""
    due: datetime | None = None
    begun: int = 0
    since: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it will not change any more."""
        return self.state in TERMINAL

    @property
    def is_retried(self) -> bool:
        """Whether a person retried it after its end: nothing else begins a run twice."""
        return self.begun > (0 if self.state in {"SCHEDULED", "PENDING"} else 1)


def http_client(api_url: str, sign_in: str | None, *, trust_env: bool = True) -> httpx.Client:
    """A client for paths below `api_url`; `sign_in` is user:password, or None where the server wants none.

    With `trust_env` proxies and certificates are those of the environment's variables.
    """
    transport = httpx.HTTPTransport(
        verify=context_for(api_url, trust_env=trust_env),
        trust_env=trust_env,
        proxy=_proxy(api_url) if trust_env else None,
    )
    return httpx.Client(
        base_url=api_url,
        auth=credentials(sign_in),
        timeout=TIMEOUT,
        trust_env=trust_env,
        transport=RetryTransport(transport, RETRY),
    )


def credentials(sign_in: str | None) -> httpx.BasicAuth | None:
    """The credentials for `user:password`; None where the server wants none."""
    if not sign_in:
        return None
    user, _, password = sign_in.partition(":")
    return httpx.BasicAuth(user, password)


def flow_run(found: Mapping[str, Any]) -> FlowRun:
    """The run that the API describes."""
    state = found["state"] or {"type": "SCHEDULED", "name": "Scheduled", "message": ""}
    due, since = found["expected_start_time"], state.get("timestamp")
    return FlowRun(
        id=found["id"],
        state=state["type"],
        tags=tuple(found["tags"]),
        parameters=found["parameters"],
        name=found["name"],
        state_name=state["name"],
        message=state["message"] or "",
        due=datetime.fromisoformat(due) if due else None,
        begun=found["run_count"],
        since=datetime.fromisoformat(since) if since else None,
    )


def _proxy(url: str) -> str | None:
    """Of the environment's variables, which httpx leaves out for a client with its own transport."""
    parts = urlsplit(url)
    proxies = getproxies()
    if proxy_bypass(parts.hostname or ""):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
