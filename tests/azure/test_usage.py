"""What the scripts say about wrong arguments, before anything is asked of Azure."""

import subprocess
from pathlib import Path

import pytest

from flows.config.load import CHECKOUT

PLACE = ("--name", "acmeslipway", "--group", "rg", "--location", "westeurope")


def call(script: str, *arguments: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    program = CHECKOUT / "deployments" / "azure" / script
    return subprocess.run(
        [program, *arguments], env={"PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", ["create", "delete"])
def test_help_lists_the_options(script: str) -> None:
    ended = call(script, "--help")
    assert ended.returncode == 0
    assert "--group GROUP" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("script", "arguments", "complaint"),
    [
        ("create", (), "create: --name is missing."),
        ("create", ("--name", "acmeslipway"), "create: --group is missing."),
        ("create", PLACE[:4], "create: --location is missing."),
        ("create", (*PLACE, "--nodes"), "create: --nodes needs a value."),
        ("create", (*PLACE, "--nodes", "few"), "create: --nodes must be a number."),
        (
            "create",
            (*PLACE, "--name", "Acme-1"),
            "create: --name must be 5 to 20 lower-case letters",
        ),
        ("create", (*PLACE, "--sku", "Basic"), "create: There is no option --sku."),
        ("delete", (), "delete: --group is missing."),
        ("delete", ("--group",), "delete: --group needs a value."),
        ("delete", ("--force",), "delete: There is no option --force."),
    ],
)
def test_wrong_arguments_are_named(script: str, arguments: tuple[str, ...], complaint: str) -> None:
    ended = call(script, *arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith(complaint)
    assert f"Usage: deployments/azure/{script}" in ended.stderr


@pytest.mark.parametrize(("script", "arguments"), [("create", PLACE), ("delete", ("--group", "rg"))])
def test_a_machine_without_az_is_noticed(script: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    for program in ("bash", "cat", "env"):
        (tmp_path / program).symlink_to(f"/usr/bin/{program}")
    ended = call(script, *arguments, path=str(tmp_path))
    assert ended.returncode == 2
    assert "There is no az. Install the Azure CLI" in ended.stderr
