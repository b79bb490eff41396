"""A change of what pods read is a change of their template."""

from typing import Any

import pytest

from flows.core.release.config_hash import CONFIGURATION, with_config_hash

Json = dict[str, Any]


def config_map(value: str, kind: str = "ConfigMap", name: str = "words") -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": {"word": value}}


def workload(kind: str = "Deployment", **spec: Any) -> Json:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    return {"apiVersion": "x", "kind": kind, "metadata": {"name": "web"}, "spec": {"template": template}}


def hash_of(*objects: Json) -> str:
    """The annotation of the first object's template; "" where it has none."""
    template = with_config_hash(objects)[0]["spec"]["template"]
    found: str = template["metadata"].get("annotations", {}).get(CONFIGURATION, "")
    return found


def env_from(kind: str) -> Json:
    return workload(containers=[{"name": "app", "envFrom": [{f"{kind}Ref": {"name": "words"}}]}])


def env_value(kind: str) -> Json:
    value = {"name": "WORD", "valueFrom": {f"{kind}KeyRef": {"name": "words", "key": "word"}}}
    return workload(containers=[{"name": "app", "env": [value]}])


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        (env_from("configMap"), "ConfigMap"),
        (env_from("secret"), "SealedSecret"),
        (env_value("configMap"), "ConfigMap"),
        (env_value("secret"), "ExternalSecret"),
        (workload(volumes=[{"name": "v", "configMap": {"name": "words"}}]), "ConfigMap"),
        (workload(volumes=[{"name": "v", "secret": {"secretName": "words"}}]), "SealedSecret"),
        (
            workload(volumes=[{"name": "v", "projected": {"sources": [{"configMap": {"name": "words"}}]}}]),
            "ConfigMap",
        ),
        (
            workload(volumes=[{"name": "v", "projected": {"sources": [{"secret": {"name": "words"}}]}}]),
            "SealedSecret",
        ),
        (workload(initContainers=[{"envFrom": [{"configMapRef": {"name": "words"}}]}]), "ConfigMap"),
        (
            workload("Job", containers=[{"envFrom": [{"configMapRef": {"name": "words"}}]}]),
            "ConfigMap",
        ),
    ],
    ids=[
        "variables",
        "variables of a Secret",
        "one variable",
        "one variable of a Secret",
        "volume",
        "volume of a Secret",
        "projected",
        "projected Secret",
        "init container",
        "Job",
    ],
)
def test_what_a_template_refers_to_is_part_of_it(reader: Json, kind: str) -> None:
    before = hash_of(reader, config_map("old", kind))
    assert before
    assert hash_of(reader, config_map("old", kind)) == before
    assert hash_of(reader, config_map("new", kind)) != before


def test_what_a_template_does_not_refer_to_changes_nothing() -> None:
    reader = env_from("configMap")
    before = hash_of(reader, config_map("a"))
    assert hash_of(reader, config_map("a"), config_map("b", name="others")) == before
    assert hash_of(reader) == ""
    plain = workload(containers=[{"name": "app"}])
    assert with_config_hash([plain, config_map("a")])[0] == plain


def test_what_the_template_has_stays() -> None:
    reader = env_from("configMap")
    marked = with_config_hash([reader, config_map("a")])[0]["spec"]["template"]
    assert marked["metadata"]["labels"] == {"app": "web"}
    assert marked["spec"] == reader["spec"]["template"]["spec"]
