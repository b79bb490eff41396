"""Which version of the model is pinned: asked of the store that the Prefect block leads to."""

import httpx

from deployments.local.instance import Instance
from deployments.local.prefect.server import client
from flows.config.load import Settings
from flows.core.errors import SlipwayError
from flows.credentials import azure
from flows.services.models import blob_providers
from flows.services.models.model_store import ModelStore


def version(instance: Instance, settings: Settings) -> str | None:
    """The version; None where none is, or Prefect or the store does not answer."""
    wanted = settings.model
    try:
        block = None
        if wanted.block is not None:
            with client(instance) as api:
                block = api.block(*wanted.block) or {}
        access = azure.access(settings.azure, None)
        store = blob_providers.opened(wanted.address, block, access)
        pin = ModelStore(store, instance.state / "cache" / "models").pinned(wanted.name)
    except (SlipwayError, httpx.TransportError):
        return None
    return None if pin is None else pin.version
