"""Every program puts [network] in force before it asks anything outside of this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.credentials import environment
from flows.services.models.transfer import no_progress
from flows.services.process.command import silent
from flows.stages.context import opened

PROXY = "http://proxy.example.org:3128"
VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")


def ended(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The program, which ended, in an environment without a proxy."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, *command],
        env={**inherited, "SLIPWAY_STATE": str(folder / "state"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_program_runs_in_the_network(tmp_path: Path) -> None:
    show = [sys.executable, "-c", "import os; print(os.environ['HTTPS_PROXY'])"]

    program = ended(["-m", "flows.config.network", *show], tmp_path, SLIPWAY_NETWORK__PROXY=PROXY)

    assert (program.returncode, program.stdout) == (0, f"{PROXY}\n")


@pytest.mark.parametrize(("command", "status"), [([], 2), (["/no/such/program"], 127)])
def test_a_program_that_can_not_be_run_is_reported(command: list[str], status: int, tmp_path: Path) -> None:
    program = ended(["-m", "flows.config.network", *command], tmp_path)

    assert program.returncode == status
    assert len(program.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "flows.config.network", "true"],
        ["-m", "flows.triggers.poller"],
        ["-m", "flows.cli", "runs"],
        ["-m", "deployments.cluster.bootstrap"],
        ["-m", "deployments.prefect.work_pool"],
        ["-m", "deployments.prefect.automations"],
    ],
    ids=lambda command: " ".join(command[1:]),
)
def test_a_bundle_that_is_missing_ends_each_program(command: list[str], tmp_path: Path) -> None:
    variables = {"SLIPWAY_NETWORK__CA_BUNDLE": "/nowhere/ca.pem", "PREFECT_API_URL": "http://127.0.0.1:9/api"}

    program = ended(command, tmp_path, **variables)

    assert program.returncode == 2, program.stderr
    assert "can't be read from /nowhere/ca.pem: No such file or directory." in program.stderr
    assert "Traceback" not in program.stderr


def test_a_program_that_imported_prefect_starts_again_in_the_network(tmp_path: Path) -> None:
    program = (
        "import os, sys, types; from flows.config import load, network\n"
        "sys.modules['prefect'] = types.ModuleType('prefect')\n"
        "print(sys.argv[1])\n"
        "network.enter(load.load())\n"
        "print(os.environ['HTTPS_PROXY'])\n"
    )

    said = ended(["-c", program, "started"], tmp_path, SLIPWAY_NETWORK__PROXY=PROXY).stdout

    assert said.splitlines() == ["started", "started", PROXY]


def test_the_receiver_is_in_the_network_before_prefect_is_imported(tmp_path: Path) -> None:
    program = (
        "import os, sys; import flows.triggers.gunicorn_conf\n"
        "print(os.environ['HTTPS_PROXY'], 'prefect' in sys.modules)\n"
    )

    said = ended(["-c", program], tmp_path, SLIPWAY_NETWORK__PROXY=PROXY).stdout

    assert said == f"{PROXY} False\n"


def test_a_run_is_in_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back at the end
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("SLIPWAY_NETWORK__PROXY", PROXY)
    with opened("run", silent, no_progress, environment):
        assert os.environ["HTTPS_PROXY"] == PROXY


def test_a_command_that_needs_no_settings_works_while_they_are_damaged(tmp_path: Path) -> None:
    damaged = tmp_path / "slipway.toml"
    damaged.write_text("[network")
    variables = {"SLIPWAY_CONFIG": str(damaged), "PREFECT_API_URL": "http://127.0.0.1:9/api"}

    program = ended(["-m", "flows.cli", "logs", "1234"], tmp_path, **variables)

    assert "Prefect's server at http://127.0.0.1:9/api does not answer" in program.stderr
