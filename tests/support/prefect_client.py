"""Prefect's server as tests ask it: by Prefect's client in their own process, or by its plain interface."""

from contextlib import AbstractContextManager

import httpx
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.local.prefect.api import PrefectApi
from deployments.local.wait import wait_until

PATIENCE = 60


def talking_to(api: PrefectApi) -> AbstractContextManager[object]:
    """What is called in this context, flows included, talks to that server."""
    return temporary_settings({PREFECT_API_URL: f"{api.ui_url}/api", PREFECT_API_AUTH_STRING: api.sign_in})


def asking(api: PrefectApi) -> httpx.Client:
    """A client, signed in, for paths below /api; what a busy server answers with 503 is asked again."""
    url = f"{api.ui_url}/api"
    return httpx.Client(base_url=url, auth=api.auth, trust_env=False, timeout=30, transport=Patient())


class Patient(httpx.HTTPTransport):
    """SQLite takes one writer at a time, and a server whose turn does not come answers 503."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answers: list[httpx.Response] = []

        def is_answered() -> bool:
            answers.append(httpx.HTTPTransport.handle_request(self, request))
            return answers[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

        wait_until(is_answered, PATIENCE, "The server is too busy")
        return answers[-1]
