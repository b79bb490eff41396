"""What an API server says about the account that asks it: who it is, and what it may do."""

from collections.abc import Sequence
from dataclasses import dataclass

from flows.core.doctor.rights import Rule
from flows.services.kubernetes.api import KubernetesApi

AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io/v1", "authorization.k8s.io/v1"


@dataclass(frozen=True)
class Rights:
    """The rules that the server lists for the account; it may have others where they are not `complete`."""

    rules: Sequence[Rule]
    complete: bool


def user_name(api: KubernetesApi) -> str:
    """As whom the server knows us."""
    review = {"apiVersion": AUTHENTICATION, "kind": "SelfSubjectReview"}
    answer = api.create(f"/apis/{AUTHENTICATION}/selfsubjectreviews", review)
    return str(answer["status"]["userInfo"]["username"])


def rights(api: KubernetesApi, namespace: str) -> Rights:
    """What the account may do in that namespace."""
    review = {
        "apiVersion": AUTHORIZATION,
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    status = api.create(f"/apis/{AUTHORIZATION}/selfsubjectrulesreviews", review)["status"]
    return Rights(status.get("resourceRules") or [], not status.get("incomplete"))
