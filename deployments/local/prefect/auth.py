"""The sign-in of the platform's Prefect server: one string, `user:password`, drawn the first time.

Prefect's open-source server knows no users: a person or a program with the string may do everything. Its UI
asks for the whole of it in one field.
"""

import secrets
from pathlib import Path

from deployments.local.instance import Instance
from flows.config.load import SIGN_IN
from flows.services.process.files import write_private

USER = "slipway"


def ensure(instance: Instance) -> str:
    """The string; it survives the platform's stops in a file that only its owner may read."""
    known = read(instance)
    if known is None:
        known = f"{USER}:{secrets.token_urlsafe(24)}"
        write_private(file(instance), f"{known}\n".encode())
    return known


def read(instance: Instance) -> str | None:
    """The string; None for a platform that never had one."""
    try:
        return file(instance).read_text().strip() or None
    except FileNotFoundError:
        return None


def file(instance: Instance) -> Path:
    """Where a person finds it."""
    return instance.state / SIGN_IN
