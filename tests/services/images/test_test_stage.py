"""A test stage may be anybody's code: what it may do, and what becomes of what it writes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.core.build.test_results import TestsFailed
from flows.services.images import test_stage
from flows.services.images.container_engine import Build, ContainerEngine, removed_at_the_end
from flows.services.images.container_output import HEAD, LONGEST, TAIL
from flows.services.images.sandbox import Sandbox
from flows.services.process.command import silent
from tests.services.conftest import Context
from tests.services.looking import LOOK

pytestmark = pytest.mark.apart

Stage = Callable[[str], str]


@pytest.fixture
def stage(engine: ContainerEngine, context: Context, base_image: str) -> Stage:
    """Builds the test stage of an app whose tests are this program; its image."""

    def stage(program: str) -> str:
        folder = context()
        (folder / "check.py").write_text(program)
        tag = "slipway-test/stage:sandbox"
        return engine.build(Build(folder, "Dockerfile", tag, "test", {"BASE_IMAGE": base_image}), silent)

    return stage


FURTHER = """
found |= {"group": os.getgid(), "interfaces": sorted(os.listdir("/sys/class/net"))}
print(json.dumps(found))
"""


def looked(engine: ContainerEngine, image: str, sandbox: Sandbox) -> dict[str, object]:
    said: list[str] = []
    test_stage.run(engine, image, 60, said.append, sandbox=sandbox)
    found: dict[str, object] = json.loads(said[0])
    return found


def test_it_is_not_root_has_no_network_and_writes_only_where_it_may(
    engine: ContainerEngine, stage: Stage
) -> None:
    assert looked(engine, stage(LOOK + FURTHER), Sandbox()) == {
        "user": 10001,
        "group": 10001,
        "interfaces": ["lo"],
        "capabilities": 0,
        "new privileges": "1",
        "writes": ["/tmp", "/reports"],
    }


def test_it_gets_a_network_where_that_is_wanted(engine: ContainerEngine, stage: Stage) -> None:
    assert looked(engine, stage(LOOK + FURTHER), Sandbox(network=True))["interfaces"] == ["eth0", "lo"]


MANY = "import os\nfor number in range({count}): print(number)\n"
FOREVER = 'print("first", flush=True)\nwhile True: print("again and again")\n'
LONG = 'print("x" * {count})\n'
FORK_BOMB = """
import os, sys, time
for number in range(1000):
    try:
        if os.fork() == 0:
            time.sleep(60)
    except BlockingIOError:
        sys.exit(f"{number} were enough")
"""
MEMORY = 'content = bytearray()\nwhile True: content += bytes(1 << 24)\nprint("no limit")\n'


@pytest.mark.slow
def test_of_many_lines_the_first_and_the_last_are_logged_and_all_are_kept(
    engine: ContainerEngine, stage: Stage, tmp_path: Path
) -> None:
    said: list[str] = []
    count, file = 200_000, tmp_path / "reports" / "tests.log"
    ran = test_stage.run(engine, stage(MANY.format(count=count)), 60, said.append, output=file)
    assert ran.status == 0
    assert said[:HEAD] == [str(number) for number in range(HEAD)]
    assert said[HEAD].startswith(f"… {count - HEAD - TAIL} more lines are not shown here.")
    assert said[HEAD + 1 :] == [str(number) for number in range(count - TAIL, count)]
    assert file.read_text().splitlines() == [str(number) for number in range(count)]


def test_output_without_end_outlives_no_time_out(
    engine: ContainerEngine, stage: Stage, tmp_path: Path
) -> None:
    said: list[str] = []
    ran = test_stage.run(engine, stage(FOREVER), 2, said.append, output=tmp_path / "tests.log")
    assert ran.status is None
    assert said[0] == "first"
    assert len(said) <= HEAD + TAIL + 1


def test_the_engine_keeps_only_so_much_of_the_output(engine: ContainerEngine, base_image: str) -> None:
    with removed_at_the_end(engine.start(base_image, "tests", command=["true"])) as container:
        kept = container.attrs["HostConfig"]["LogConfig"]
    assert kept == {"Type": "json-file", "Config": {"max-size": "100m", "max-file": "2"}}


def test_a_long_line_is_cut(engine: ContainerEngine, stage: Stage) -> None:
    said: list[str] = []
    ran = test_stage.run(engine, stage(LONG.format(count=10 * LONGEST)), 60, said.append)
    assert ran.status == 0
    assert "".join(said) == "x" * 10 * LONGEST
    assert max(map(len, said)) <= LONGEST


def test_processes_without_end_find_a_limit(engine: ContainerEngine, stage: Stage) -> None:
    said: list[str] = []
    ran = test_stage.run(engine, stage(FORK_BOMB), 60, said.append)
    assert ran.status == 1
    assert "were enough" in ran.log


def test_memory_without_end_finds_a_limit(engine: ContainerEngine, stage: Stage) -> None:
    ran = test_stage.run(engine, stage(MEMORY), 60, silent, sandbox=Sandbox(memory=128))
    assert ran.status == 137
    assert "no limit" not in ran.log


def test_control_characters_reach_no_log(engine: ContainerEngine, stage: Stage) -> None:
    said: list[str] = []
    test_stage.run(engine, stage(r'print("\x1b[2J\x1b]0;title\x07done\u202e")'), 60, said.append)
    assert said == ["done"]


REPORTS = {
    "a link": ("import os; os.symlink('/etc/passwd', '/reports/junit.xml')", "is no file"),
    "a folder": ("import os; os.mkdir('/reports/junit.xml')", "is no file"),
    "too large": ("open('/reports/junit.xml', 'w').truncate(200 << 30)", "bytes; at most"),
}


@pytest.mark.parametrize(("program", "reason"), REPORTS.values(), ids=REPORTS.keys())
def test_what_is_no_junit_report_is_refused_with_the_reason(
    engine: ContainerEngine, stage: Stage, program: str, reason: str
) -> None:
    with pytest.raises(TestsFailed, match=f"The test stage's /reports/junit.xml .*{reason}"):
        test_stage.run(engine, stage(program), 60, silent)
