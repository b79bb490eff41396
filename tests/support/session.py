"""`make test`: all tests on one platform.

    python -m tests.support.session [--slow] [pytest's arguments]

The checks and tests that need no platform run while it is brought up. As soon as it is up, begin those that
look at the released app, in the environments of slipway.toml; those of the command line, which use nothing of
the platform, follow them. Beside both, the tests run in worker processes, each with environments of its own.
Last, one after the other, run those that stop or freeze what others use; beside them those of a cluster's
nodes, which have a cluster of their own, and the others that use nothing of the platform.
With --slow only the slow tests run, and the simulations among them while the platform is brought up.
`durations.tsv` in the state folder has every test's duration, and why those failed that did.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from deployments.local import platform as bringing_up
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.progress import Display, Steps
from flows.config.load import CHECKOUT, load_as
from tests.support.instance_apart import NONE, SHARED, instance_apart
from tests.support.lanes import LANES, SIMULATIONS
from tests.support.preparing import Begun, complete, make_source
from tests.support.worker import WORKERS, teams_allowed

DURATIONS = "TEST_DURATIONS"
"""The file that tests' durations are appended to."""

NOTHING_RAN = 5
"""pytest's exit status where no test was selected."""

LISTED = 10


@dataclass
class Parts:
    """What ran: each part's seconds, and the parts that failed."""

    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Note how long the block takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - began

    def run(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        log: Path | None = None,
        *,
        inherited: Mapping[str, str] | None = None,
    ) -> None:
        """Run a program as a part; a part that fails ends none of the others.

        With `log` its output goes there, and is printed in one piece at its end. `inherited` replaces this
        process's variables, which change while the platform is brought up.
        """
        with self.part(name), log.open("w") if log else nullcontext() as output:
            status = subprocess.run(
                command,
                cwd=CHECKOUT,
                env={**(os.environ if inherited is None else inherited), **variables},
                stdout=output,
                stderr=subprocess.STDOUT if log else None,
                check=False,
            ).returncode
        if log:
            print(f"\n{name}:\n{log.read_text()}", flush=True)
        if status not in {0, NOTHING_RAN}:
            self.failed.append(name)


def main(arguments: list[str]) -> int:
    """Exit status: 0 when all parts passed."""
    slow = "--slow" in arguments
    given = [argument for argument in arguments if argument != "--slow"]
    pytest = (sys.executable, "-m", "pytest", *given)
    parts = Parts()
    began = time.monotonic()
    with parts.part("build"):
        subprocess.run([sys.executable, "-m", "deployments.local", "build"], cwd=CHECKOUT, check=True)
    plain = dict(os.environ)
    with instance_apart() as instance:
        durations = instance.state / "durations.tsv"
        durations.write_text("")
        without_platform = {DURATIONS: str(durations), NONE: "yes"}
        shared = {SHARED: str(instance.state), DURATIONS: str(durations)} | teams_allowed(instance)
        kind = "slow" if slow else "not slow"
        lanes = {
            name: (*pytest, *lane.paths, "-m", f"{lane.marks} and {kind}") for name, lane in LANES.items()
        }

        def beside(*names: str, after: Future[None] | None = None) -> None:
            """Run lanes one after the other; each one's output is printed at its end, in one piece."""
            if after:
                after.result()
            for name in names:
                parts.run(name, lanes[name], shared, instance.state / f"{name}.log")

        with ThreadPoolExecutor() as pool:
            up = pool.submit(_bring_up, instance, parts)
            released = pool.submit(beside, "released", "command line", after=up)
            if slow:
                marks = f"{SIMULATIONS.marks} and slow"
                two = ("--numprocesses", "2", "--dist", "loadgroup")
                simulations = (*pytest, *SIMULATIONS.paths, *two, "-m", marks)
                parts.run("simulations", simulations, without_platform, inherited=plain)
            else:
                fast = ("make", "--no-print-directory", "test-fast")
                parts.run("fast", fast, without_platform, inherited=plain)
            up.result()
            workers = ("--numprocesses", str(WORKERS), "--dist", "loadfile", "--no-loadscope-reorder")
            parts.run("parallel", (*lanes["parallel"], *workers), shared)
            released.result()
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(beside, name) for name in ("nodes", "engine", "servers")]
            parts.run("exclusive", lanes["exclusive"], shared)
            for lane in running:
                lane.result()
        _report(parts, durations, time.monotonic() - began)
    return 1 if parts.failed else 0


def _bring_up(instance: Instance, parts: Parts) -> None:
    """The whole platform, for all test processes."""
    os.environ |= teams_allowed(instance)  # for the programs that prepare the environments
    settings = load_as(WrittenSettings).model_copy(update={"embedded": instance.ports})

    def bring_up(begin: Callable[[BringUp], Begun]) -> Begun:
        with Display(Console(soft_wrap=True)) as display, Steps(display) as steps:
            client = steps.start("Checks", bringing_up.prepare, instance, settings).result()
            return begin(BringUp(steps, client, instance, settings))

    with parts.part("platform"):
        complete(bring_up, instance, settings, make_source(instance.state / "source"))


def _report(parts: Parts, durations: Path, seconds: float) -> None:
    rows = [line.split("\t") for line in durations.read_text().splitlines()]
    slowest = sorted(((float(took), name) for took, name, _reason in rows), reverse=True)
    print(f"\nThe {LISTED} slowest tests, set-up included:")
    for took, name in slowest[:LISTED]:
        print(f"  {took:6.1f} s  {name}")
    print("Parts: " + ", ".join(f"{name} {took:.0f} s" for name, took in parts.seconds.items()))
    for _took, name, reason in rows:
        if reason:
            print(f"Failed: {name}: {reason}")
    outcome = f"failed: {', '.join(parts.failed)}" if parts.failed else "all passed"
    print(f"{len(slowest)} tests in {seconds / 60:.1f} minutes; {outcome}.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
