"""Steps that run side by side, and what a person sees of them meanwhile.

On a terminal every running step has a line with its last message and its age; elsewhere each message is a
line with the seconds since the start.
"""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Self, TypeVar

import psutil
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from deployments.local.processes import terminate

Say = Callable[[str], None]
"""Shows a person what is being done, in one line."""

Result = TypeVar("Result")


@dataclass
class Step:
    """One line of the display; called with a message, it shows that."""

    title: str
    display: "Display"
    began: float = field(default_factory=time.monotonic)
    message: str = ""

    def __call__(self, message: str) -> None:
        """Say what it is doing."""
        self.message = message
        self.display.note(f"{self.title}: {message}")

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    @property
    def age(self) -> str:
        """The same for people: 12 s, or 3 min 20 s."""
        seconds = int(self.seconds)
        return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


class Display:
    """What runs now, redrawn in place on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._running: list[Step] = []
        self._lock = Lock()
        self._live = Live(
            get_renderable=self._lines, console=self.console, refresh_per_second=8, transient=True
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def line(self, text: str) -> None:
        """A line that stays, above those of the running steps."""
        stamp = "" if self.console.is_terminal else f"[{time.monotonic() - self._began:6.1f} s] "
        self.console.print(Text(stamp + text))

    def note(self, text: str) -> None:
        """A message that matters only while its step runs: printed only where lines can't be redrawn."""
        if not self.console.is_terminal:
            self.line(text)

    def begin(self, title: str) -> Step:
        """A step that runs from now on."""
        step = Step(title, self)
        with self._lock:
            self._running.append(step)
        return step

    def end(self, step: Step, *, well: bool) -> None:
        """The step is over."""
        with self._lock:
            self._running.remove(step)
        if step.message or step.seconds >= 1 or not well:  # else it was there already
            self.line(f"{'✓' if well else '✗'} {step.title} ({step.age})")

    def _lines(self) -> RenderableType:
        with self._lock:
            steps = list(self._running)
        return Group(
            *(Spinner("dots", Text(f"{s.title} ({s.age}) {s.message}", no_wrap=True)) for s in steps)
        )


class Steps:
    """Runs functions side by side, each as soon as those it builds on are done.

    A function is given the results of the futures among its arguments and, last, its `Step` to speak through.
    The first failure ends the others: their programs are terminated and what hasn't begun never begins.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._pool = ThreadPoolExecutor(max_workers=16, thread_name_prefix="step")
        self._futures: list[Future[Any]] = []
        self._others = set(psutil.Process().children())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        well = False
        try:
            if error is None:
                self._wait_for_all()
                well = True
        finally:  # an interrupt, too, mostly comes while this waits
            self._pool.shutdown(wait=well, cancel_futures=True)
            if not well:
                self._end_programs()

    def start(self, title: str, function: Callable[..., Result], *arguments: object) -> Future[Result]:
        """The future result of `function(*arguments, step)`; its line appears when it begins."""
        future = self._pool.submit(self._run, title, function, arguments)
        self._futures.append(future)
        return future

    def _run(self, title: str, function: Callable[..., Result], arguments: tuple[object, ...]) -> Result:
        results = [a.result() if isinstance(a, Future) else a for a in arguments]
        step = self._display.begin(title)
        well = False
        try:
            result = function(*results, step)
            well = True
            return result
        finally:
            self._display.end(step, well=well)

    def _wait_for_all(self) -> None:
        done, _unfinished = wait(self._futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()

    def _end_programs(self) -> None:
        for program in set(psutil.Process().children()) - self._others:
            terminate([*program.children(recursive=True), program])
