"""Prefect's server as tests ask it: by Prefect's client in their own process, or by its plain interface."""

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    temporary_settings,
)

from deployments.local.prefect import no_authorities
from deployments.prefect.api import PrefectApi
from flows.services.prefect.client import http_client


def talking_to(api: PrefectApi) -> AbstractContextManager[object]:
    """What is called in this context, flows included, talks to that server."""
    return temporary_settings(
        {
            PREFECT_API_URL: f"{api.ui_url}/api",
            PREFECT_API_AUTH_STRING: api.sign_in,
            PREFECT_API_SSL_CERT_FILE: str(no_authorities.ensure(Path(_folder().name))),
        }
    )


@cache
def _folder() -> TemporaryDirectory[str]:
    """This process's, until its end."""
    return TemporaryDirectory(prefix="slipway-test-")


def asking(api: PrefectApi) -> httpx.Client:
    """A client, signed in, for paths below /api."""
    return http_client(f"{api.ui_url}/api", api.sign_in, trust_env=False)
