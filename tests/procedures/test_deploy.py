"""What flows do around a release, without a platform: a cancel stays one, and stages are tasks."""

import ast
import socket
from collections.abc import Iterator
from inspect import isfunction
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from prefect.exceptions import TerminationSignal
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.config import load as configuration
from flows.config.load import CHECKOUT
from flows.procedures.undo import restore_on_interrupt
from flows.services.kubernetes.cluster import Cluster
from flows.services.kubernetes.lease import HeldLease
from flows.stages import release, undo
from flows.stages.context import RunContext
from flows.stages.release import EnvironmentLock
from tests.support.a_record import a_record


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_cancelled_run_ends_as_cancelled_also_where_nothing_can_be_put_back(
    nobody: str, tmp_path: Path
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    content = {
        "contexts": [{"name": "away", "context": {"cluster": "away", "user": "away"}}],
        "clusters": [{"name": "away", "cluster": {"server": f"http://{nobody}"}}],
        "users": [{"name": "away", "user": {}}],
    }
    kubeconfig.write_text(yaml.safe_dump(content))
    cluster = Cluster(kubeconfig, "away", "staging", "classifier")
    said: list[str] = []
    run = RunContext(
        "run-1", configuration.load(), tmp_path, said.append, lambda _: print, _clusters={"staging": cluster}
    )
    lock = EnvironmentLock("staging", HeldLease(cluster, "run-1", {"spec": {"leaseTransitions": 1}}))
    with (
        temporary_settings({PREFECT_API_URL: f"http://{nobody}/api"}),
        pytest.raises(TerminationSignal),
        restore_on_interrupt(run, lock, a_record()),
    ):
        raise TerminationSignal(signal=15)
    assert "could not be put back: The cluster 'away' could not be reached" in said[0]


BY_HAND = {
    "explain",  # has nothing to say where it can't
    "restore_unverified",  # in the last seconds of a run, which leave none for another try
}


def test_flows_release_and_undo_by_tasks_so_that_what_may_pass_is_tried_again() -> None:
    flows = [
        file for file in (CHECKOUT / "flows").rglob("*.py") if file.parent.name in ("flows", "procedures")
    ]
    assert set().union(*(called_by_hand(file) for file in flows)) == BY_HAND


def called_by_hand(file: Path) -> set[str]:
    """The stages of releasing and undoing that a module calls as plain functions."""
    found = set()
    functions = {"release": functions_of(release), "undo": functions_of(undo)}
    tree = ast.parse(file.read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flows.stages")
        for alias in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in imported:
                found |= {name} & set().union(*functions.values())
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)) if module in imported:
                found |= {name} & functions.get(module, set())
    return found


def functions_of(module: ModuleType) -> set[str]:
    """Of a module of stages, by name."""
    return {name for name, value in vars(module).items() if isfunction(value)}
