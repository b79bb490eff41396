"""What an administrator is asked for before anything is created."""

import pytest

from deployments.cluster import bootstrap
from flows.config.load import load
from flows.config.schema import Aks
from flows.core.errors import SettingsError


def test_an_environment_on_aks_needs_the_object_id_of_its_login() -> None:
    aks = Aks(subscription="2" * 8 + "-2222-2222-2222-" + "2" * 12, resource_group="rg", cluster="prod")
    settings = load()
    staging = settings.environment("staging").model_copy(update={"aks": aks})
    changed = settings.model_copy(update={"environments": {"staging": staging}})
    with pytest.raises(SettingsError, match=r"staging is on AKS, and names no `login`.*az identity show"):
        bootstrap.prepare(changed, "staging", print)
