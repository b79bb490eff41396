"""What an administrator is asked for before anything is created, and what a refusal of the cluster says."""

from pathlib import Path

import pytest

from deployments.cluster import bootstrap
from flows.config.load import load
from flows.config.schema import Aks
from flows.core.errors import PermanentError, SettingsError
from tests.stand_ins.http_server import JsonHandler, serving
from tests.support.kubeconfig import kubeconfig


def test_an_environment_on_aks_needs_the_object_id_of_its_login() -> None:
    aks = Aks(subscription="2" * 8 + "-2222-2222-2222-" + "2" * 12, resource_group="rg", cluster="prod")
    settings = load()
    staging = settings.environment("staging").model_copy(update={"aks": aks})
    changed = settings.model_copy(update={"environments": {"staging": staging}})
    with pytest.raises(SettingsError, match=r"staging is on AKS, and names no `login`.*az identity show"):
        bootstrap.prepare(changed, "staging", print)


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        (403, 'namespaces is forbidden: User "ada" cannot patch it', "Run this as an administrator"),
        (403, "exceeded quota: namespaces", "Correct what the cluster reports"),
        (400, "the request is malformed", "Correct what the cluster reports"),
    ],
)
def test_only_a_missing_right_sends_for_an_administrator(
    status: int, message: str, remedy: str, tmp_path: Path
) -> None:
    class Refusing(JsonHandler):
        def do_PATCH(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(status, {"kind": "Status", "message": message})

        def do_GET(self) -> None:
            self.answer(
                200, {"resources": [{"name": "namespaces", "kind": "Namespace", "namespaced": False}]}
            )

    settings = load()
    with serving(Refusing) as address:
        changes = {"context": "here", "kubeconfig": kubeconfig(tmp_path, "here", address), "login": "ada"}
        staging = settings.environment("staging").model_copy(update={**changes, "credentials": None})
        changed = settings.model_copy(update={"environments": {"staging": staging}})
        with pytest.raises(PermanentError, match="'here' could not be prepared for staging") as failed:
            bootstrap.prepare(changed, "staging", print, attached=True)
    assert message in failed.value.happened
    assert failed.value.remedy.startswith(remedy)
