import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.images import Image

from deployments.local.cluster import kubernetes_binary
from deployments.local.cluster.kubernetes_binary import MODULE, SOURCES
from deployments.local.docker import engine, pause_image
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)  # the first test on a machine compiles


@pytest.fixture(scope="module")
def binary() -> Path:
    return kubernetes_binary.ensure(print)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODULE, tmp_path / "kubernetes"))


@pytest.fixture
def pause(binary: Path) -> Iterator[Image]:
    client = engine.connect()
    [image] = client.images.load(pause_image.archive(binary.with_name("pause").read_bytes()))
    yield image
    client.images.remove(str(image.id), force=True)


def answer(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_same_sources_have_the_same_key(module: Path) -> None:
    assert kubernetes_binary.key(module) == kubernetes_binary.key()


@pytest.mark.parametrize("source", SOURCES)
def test_a_change_in_any_source_changes_the_key(module: Path, source: str) -> None:
    with (module / source).open("a") as file:
        file.write("\n// changed\n")
    assert kubernetes_binary.key(module) != kubernetes_binary.key()


def test_what_was_built_is_not_built_again(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # nothing to build with
    logged: list[str] = []
    before = binary.stat()
    assert kubernetes_binary.ensure(logged.append) == binary
    assert (logged, binary.stat()) == ([], before)


def test_called_kubectl_it_is_kubectl_of_that_version(binary: Path) -> None:
    said = answer(kubernetes_binary.kubectl(binary), "version", "--client")
    assert f"Client Version: v{kubernetes_binary.kubernetes_version()}" in said


@pytest.mark.parametrize(
    "component", ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"]
)
def test_its_first_argument_names_the_component(binary: Path, component: str) -> None:
    assert answer(binary, component, "--version") == f"Kubernetes v{kubernetes_binary.kubernetes_version()}\n"


def test_it_is_etcd_too(binary: Path) -> None:
    assert answer(binary, "etcd", "--version").startswith("etcd Version: 3.6")


def test_an_unknown_component_is_refused_with_the_known_ones(binary: Path) -> None:
    refused = subprocess.run([binary, "kubeadm"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "etcd, kube-apiserver" in refused.stderr


def test_kubectl_fails_with_one_line_and_a_status(binary: Path, tmp_path: Path) -> None:
    kubectl = kubernetes_binary.kubectl(binary)
    failed = subprocess.run(
        [kubectl, "--kubeconfig", tmp_path / "none", "get", "pods"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "none: no such file or directory" in failed.stderr.splitlines()[-1]


def test_the_sandbox_image_waits_until_it_is_asked_to_stop(pause: Image) -> None:
    assert pause.tags == [pause_image.NAME]
    container = engine.connect().containers.run(pause, detach=True)
    try:
        wait_until(lambda: b"waiting" in container.logs(), "the sandbox image has not begun to wait")
        container.stop(timeout=30)
        assert container.wait()["StatusCode"] == 0
    finally:
        container.remove(force=True)
