import configparser
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deployments.local import control_socket, supervision
from deployments.local.instance import Instance
from deployments.local.processes import MARK, belonging_to
from deployments.local.supervision import Program
from flows.config.schema import Embedded
from flows.core.errors import PlatformFailed
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.platform, pytest.mark.apart]

SLEEPER = Program(
    "sleeper", (sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(600)")
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Instance]:
    instance = Instance(f"slipway-unit-{os.getpid()}", tmp_path, tmp_path / "state", Embedded())
    instance.state.mkdir()
    yield instance
    supervision.end(instance)


def ensure(place: Instance, *programs: Program, **variables: str) -> None:
    supervision.ensure(place, programs or (SLEEPER,), {**os.environ, **variables})


def pid(place: Instance) -> int:
    return next(state.pid for state in supervision.states(place) if state.name == "sleeper")


def test_a_program_that_dies_is_started_again(place: Instance) -> None:
    ensure(place)
    supervision.start(place, "sleeper")
    first = pid(place)
    psutil.Process(first).kill()
    wait_until(lambda: pid(place) not in {0, first}, "The program was not started again")


def test_ensuring_it_again_leaves_everything_running(place: Instance) -> None:
    ensure(place)
    assert supervision.start(place, "sleeper")
    first = pid(place)
    ensure(place)
    assert not supervision.start(place, "sleeper")
    assert pid(place) == first


def test_other_variables_replace_what_runs(place: Instance) -> None:
    ensure(place)
    supervision.start(place, "sleeper")
    first = psutil.Process(pid(place))
    ensure(place, SLIPWAY_TIMEZONE="UTC")
    supervision.start(place, "sleeper")
    assert not first.is_running()
    assert psutil.Process(pid(place)).environ()["SLIPWAY_TIMEZONE"] == "UTC"


def test_what_another_checkout_left_under_the_name_is_ended(place: Instance, tmp_path: Path) -> None:
    other = Instance(place.name, tmp_path / "other", tmp_path / "other" / "state", Embedded())
    other.state.mkdir(parents=True)
    ensure(other)
    supervision.start(other, "sleeper")
    theirs = psutil.Process(pid(other))
    ensure(place)
    assert not theirs.is_running()
    assert supervision.states(other) == []


def test_programs_outlive_a_killed_supervisor_and_are_replaced(place: Instance) -> None:
    ensure(place)
    supervision.start(place, "sleeper")
    orphan = psutil.Process(pid(place))
    supervisor = psutil.Process(int((place.state / "supervisord.pid").read_text()))
    supervisor.kill()
    supervisor.wait(5)
    assert orphan.is_running()
    ensure(place)
    supervision.start(place, "sleeper")
    assert not orphan.is_running()
    assert psutil.pid_exists(pid(place))


def test_ending_leaves_no_process_that_carries_the_name(place: Instance) -> None:
    ensure(place)
    supervision.start(place, "sleeper")
    assert len(belonging_to(place.name)) == 2
    supervision.end(place)
    assert belonging_to(place.name) == []


def test_a_state_folder_with_a_long_path_works(place: Instance, tmp_path: Path) -> None:
    deep = Instance(place.name, tmp_path, tmp_path / ("d" * 120), Embedded())
    deep.state.mkdir()
    ensure(deep)
    supervision.start(deep, "sleeper")
    assert pid(deep)
    folder = control_socket.find(deep.state).parent
    assert folder != deep.state
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    supervision.end(deep)
    assert not folder.exists()


def test_a_socket_in_a_folder_that_others_may_write_to_is_not_used(place: Instance, tmp_path: Path) -> None:
    ensure(place)
    planted = tmp_path / "planted"
    planted.mkdir(mode=0o755)
    control_socket.find(place.state).rename(planted / control_socket.NAME)
    (place.state / control_socket.NOTE).write_text(str(planted))
    assert supervision.states(place) == []
    planted.chmod(0o700)
    assert [state.name for state in supervision.states(place)] == ["sleeper"]


def test_what_a_program_writes_is_this_users_alone(place: Instance, tmp_path: Path) -> None:
    code = "import pathlib, time; pathlib.Path('written').touch(); print('awake', flush=True); time.sleep(60)"
    ensure(place, Program("sleeper", (sys.executable, "-c", code)))
    supervision.start(place, "sleeper")
    log = supervision.log_file(place, "sleeper")
    wait_until(lambda: log.exists() and "awake" in log.read_text(), "Nothing was logged")
    assert stat.S_IMODE((tmp_path / "written").stat().st_mode) == 0o600
    assert stat.S_IMODE(place.state.stat().st_mode) == 0o700


def test_output_is_kept_in_the_state_folder(place: Instance) -> None:
    ensure(place)
    supervision.start(place, "sleeper")
    log = supervision.log_file(place, "sleeper")
    wait_until(lambda: log.exists() and "awake" in log.read_text(), "Nothing was logged")


def test_no_log_grows_without_end(place: Instance) -> None:
    ensure(place)
    with (place.state / "supervisord.conf").open() as file:
        written = configparser.RawConfigParser()
        written.read_file(file)
    logs = {"supervisord": "logfile", "program:sleeper": "stdout_logfile"}
    for section, log in logs.items():
        assert (written[section][f"{log}_maxbytes"], written[section][f"{log}_backups"]) == ("10MB", "3")


def test_percent_signs_and_spaces_in_a_command_arrive_as_they_are(place: Instance) -> None:
    odd = Program(
        "sleeper",
        (sys.executable, "-c", "import sys, time; print(sys.argv[1], flush=True); time.sleep(9)", "50% of x"),
    )
    ensure(place, odd)
    supervision.start(place, "sleeper")
    log = supervision.log_file(place, "sleeper")
    wait_until(lambda: log.exists() and "50% of x" in log.read_text(), "The log does not say so")


def test_a_program_that_cannot_start_is_reported_with_its_log(place: Instance) -> None:
    ensure(place, Program("sleeper", ("/nonexistent/program",)))
    with pytest.raises(PlatformFailed, match=r"sleeper does not start.*log"):
        supervision.start(place, "sleeper")


def test_the_process_that_looks_is_not_among_those_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "slipway-unit-none")
    assert belonging_to("slipway-unit-none") == []
