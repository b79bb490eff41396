"""kustomize renders files of the manifests' folder alone."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from flows.config.load import CHECKOUT
from flows.core.errors import ManifestsRejected
from flows.services.kubernetes.own_files import require_own_files

TEAM = "https://example.com/team/base"

ELSEWHERE: dict[str, dict[str, object]] = {
    "a resource": {"resources": [f"{TEAM}?ref=v1"]},
    "a base": {"bases": ["github.com/team/base"]},
    "a component": {"components": ["git@example.com:team/base.git"]},
    "by ssh": {"resources": ["ssh://git@example.com/team/base"]},
    "by git": {"resources": ["git::https://example.com/team/base"]},
    "a local repository": {"resources": ["file:///srv/team.git"]},
    "a definition": {"crds": [TEAM]},
    "a configuration": {"configurations": [TEAM]},
    "a schema": {"openapi": {"path": TEAM}},
    "a patch": {"patches": [{"path": TEAM, "target": {"kind": "Service"}}]},
    "a patch of before": {"patchesStrategicMerge": [TEAM]},
    "a JSON patch of before": {"patchesJson6902": [{"path": TEAM}]},
    "a replacement": {"replacements": [{"path": TEAM}]},
    "a file of a ConfigMap": {"configMapGenerator": [{"name": "a", "files": [f"key={TEAM}"]}]},
    "variables of a Secret": {"secretGenerator": [{"name": "a", "envs": [TEAM]}]},
    "a chart": {"helmCharts": [{"name": "redis", "repo": "oci://example.com/charts"}]},
    "a generator": {"generators": [TEAM]},
    "a transformer": {"transformers": [TEAM]},
    "a validator": {"validators": [TEAM]},
    "a plugin's patch": {
        "transformers": [
            f"apiVersion: builtin\nkind: PatchTransformer\nmetadata: {{name: a}}\npath: {TEAM}\n"
        ]
    },
    "in another case": {"Resources": [TEAM]},
    "another folder of the machine": {"resources": ["../../../outside"]},
    "an absolute path": {"resources": ["/etc"]},
}

INSIDE: dict[str, dict[str, object]] = {
    "a file, and a folder above": {"resources": ["service.yaml", "../../base"]},
    "what is only data": {
        "commonAnnotations": {"path": TEAM},
        "labels": [{"pairs": {"repo": TEAM}}],
        "images": [{"name": "app", "newName": "github.com/team/app"}],
        "configMapGenerator": [{"name": "a", "literals": [f"URL={TEAM}"], "files": ["key=file.txt"]}],
    },
    "a patch in place": {
        "patches": [{"patch": f"- op: add\n  path: /metadata/annotations/docs\n  value: {TEAM}\n"}],
        "patchesStrategicMerge": [f"kind: Service\nmetadata: {{name: a, annotations: {{docs: {TEAM!r}}}}}\n"],
    },
}


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "kubernetes" / "overlays" / "staging"
    folder.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return folder


def kustomize(folder: Path, content: Mapping[str, object], name: str = "kustomization.yaml") -> None:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text(yaml.safe_dump(content))


def check(staging: Path) -> None:
    require_own_files(staging.parents[1], staging, "the folder")


@pytest.mark.parametrize("content", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_an_entry_that_leads_out_of_the_folder_is_refused(staging: Path, content: dict[str, object]) -> None:
    kustomize(staging, content)
    expected = r"overlays/staging/kustomization.yaml in the folder loads .* from outside"
    with pytest.raises(ManifestsRejected, match=expected) as refused:
        check(staging)
    assert "Copy what it loads into the folder" in refused.value.remedy


@pytest.mark.parametrize("content", INSIDE.values(), ids=INSIDE.keys())
def test_an_entry_of_the_folder_is_taken(staging: Path, content: dict[str, object]) -> None:
    kustomize(staging, content)
    check(staging)


@pytest.mark.parametrize("name", ["staging", "production", "aks-staging", "aks-production", "aks-ingress"])
def test_the_overlays_of_the_project_are_taken(name: str) -> None:
    folder = CHECKOUT / "deployments" / "kubernetes"
    require_own_files(folder, folder / "overlays" / name, "the folder")


@pytest.mark.parametrize("key", ["resources", "components", "generators"])
@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
def test_a_kustomization_that_another_one_names_is_checked(staging: Path, key: str, name: str) -> None:
    kustomize(staging, {key: ["../../base"]})
    kustomize(staging.parents[1] / "base", {"resources": [TEAM]}, name)
    with pytest.raises(ManifestsRejected, match=rf'base/{name} in the folder loads "{TEAM}" \(`resources`\)'):
        check(staging)


def test_the_configuration_of_a_plugin_is_checked(staging: Path) -> None:
    kustomize(staging, {"transformers": ["patch"]})
    plugin = {"apiVersion": "builtin", "kind": "PatchTransformer", "metadata": {"name": "a"}, "path": TEAM}
    kustomize(staging, plugin, "patch")
    with pytest.raises(ManifestsRejected, match="overlays/staging/patch in the folder loads"):
        check(staging)


def test_an_overlay_that_is_not_released_may_load_what_it_likes(staging: Path) -> None:
    kustomize(staging, {"resources": ["../../base"]})
    kustomize(staging.with_name("trial"), {"resources": [TEAM]})
    check(staging)


def test_a_sign_in_is_not_shown(staging: Path) -> None:
    kustomize(staging, {"resources": [TEAM.replace("//", "//ada:secret@")]})
    with pytest.raises(ManifestsRejected) as refused:
        check(staging)
    assert "secret" not in str(refused.value)
    assert TEAM in str(refused.value)


@pytest.mark.parametrize("target", ["{outside}", "../../../outside", "/etc"])
def test_a_link_that_leads_out_of_the_manifests_is_refused(
    staging: Path, tmp_path: Path, target: str
) -> None:
    """kustomize follows a linked folder, to whatever this machine has there."""
    (staging / "extra").symlink_to(target.format(outside=tmp_path / "outside"))
    with pytest.raises(ManifestsRejected, match=r"overlays/staging/extra in .* leads out"):
        check(staging)


def test_links_in_a_circle_lead_nowhere(staging: Path) -> None:
    (staging / "one").symlink_to("other")
    (staging / "other").symlink_to("one")
    kustomize(staging, {"resources": ["one", "."]})
    check(staging)
