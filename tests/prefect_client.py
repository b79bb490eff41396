"""Prefect's client in the tests' own process."""

from contextlib import AbstractContextManager

from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.local.prefect_api import PrefectApi


def talking_to(api: PrefectApi) -> AbstractContextManager[object]:
    """What is called in this context, flows included, talks to that server."""
    return temporary_settings({PREFECT_API_URL: f"{api.ui_url}/api", PREFECT_API_AUTH_STRING: api.sign_in})
