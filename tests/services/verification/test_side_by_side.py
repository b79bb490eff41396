"""Two sides are asked the same examples: the real application, and servers that misbehave."""

import base64
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from deployments.local.demo import digits
from flows.core.duel.comparison import compare
from flows.core.duel.golden_set import GoldenExample
from flows.core.duel.verdict import Margins, Verdict, judge
from flows.services.verification.public_endpoint import PublicEndpoint
from flows.services.verification.side_by_side import SILENT, WARM_UP, Asked, Question, ask_both
from tests.services.replicas import started
from tests.stand_ins.http_server import JsonHandler, serving

RIGHT = b'{"result": [[["crane", 90.0], ["stork", 10.0]]]}'
NAN = b'{"result": [[["crane", NaN], ["stork", 10.0]]]}'
EXAMPLES = [GoldenExample(f"inputs/{number:02}.png", 0, 2) for number in range(40)]
QUESTIONS = [Question(example, "crane", lambda one: one.input.encode()) for example in EXAMPLES]

Answer = Callable[[str, int], bytes]
"""What a server answers to the input of that name, in its request of that number."""


class Server:
    """A server of one replica: what it was asked, in order."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[float, str]] = []
        self.over = Event()


@contextmanager
def answering(answer: Answer | bytes) -> Iterator[tuple[PublicEndpoint, Server]]:
    server = Server(answer if callable(answer) else lambda _name, _number: answer)

    class Handler(JsonHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = base64.b64decode(content["input"][0]).decode()
            server.asked.append((time.monotonic(), name))
            body = server.answer(name, len(server.asked))
            if body == b"hang":
                server.over.wait()
            if body in {b"hang", b"crash"}:
                self.close_connection = True
                return
            self.send_response(500 if body == b"error" else 200)
            self.send_header("X-Served-By", "app")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as url:
        try:
            yield PublicEndpoint(url), server
        finally:
            server.over.set()


def asked(candidate: Answer | bytes, live: Answer | bytes, seconds: float = 60, patience: float = 5) -> Asked:
    with answering(candidate) as (ours, _), answering(live) as (theirs, _):
        return ask_both(ours, theirs, QUESTIONS, seconds=seconds, chance=random.Random(1), patience=patience)


def test_both_sides_are_asked_each_example_once_after_a_few_to_warm_up() -> None:
    with answering(RIGHT) as (ours, candidate), answering(RIGHT) as (theirs, live):
        found = ask_both(ours, theirs, QUESTIONS, seconds=60, chance=random.Random(1))
    names = [name for _, name in candidate.asked]
    assert names == [name for _, name in live.asked]
    assert sorted(names[WARM_UP:]) == [example.input for example in EXAMPLES]
    assert names[:WARM_UP] == names[WARM_UP : 2 * WARM_UP]
    assert {pair.example.input for pair in found.pairs} == set(names)
    assert all(pair.candidate_is_right and pair.live_is_right for pair in found.pairs)
    assert all(pair.candidate.milliseconds > 0 for pair in found.pairs)


def test_who_is_first_changes_from_example_to_example() -> None:
    with answering(RIGHT) as (ours, candidate), answering(RIGHT) as (theirs, live):
        ask_both(ours, theirs, QUESTIONS, seconds=60, chance=random.Random(1))
    first = [a < b for (a, _), (b, _) in zip(candidate.asked, live.asked, strict=True)]
    assert len(EXAMPLES) / 4 < sum(first) < len(EXAMPLES) * 3 / 4
    ends = [max(a, b) for (a, _), (b, _) in zip(candidate.asked, live.asked, strict=True)]
    begins = [min(a, b) for (a, _), (b, _) in zip(candidate.asked, live.asked, strict=True)]
    assert all(end < begin for end, begin in zip(ends[:-1], begins[1:], strict=True))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"error", "answered 500"),
        (NAN, "finite number"),
        (b'{"result": []}', "does not answer as it must"),
        (b"crash", "broke off"),
        (b"hang", "broke off"),
    ],
    ids=["error", "nan", "malformed", "crash", "hang"],
)
@pytest.mark.parametrize("side", ["candidate", "live"])
def test_a_side_that_fails_on_every_example_is_asked_no_more(body: bytes, why: str, side: str) -> None:
    found = asked(body, RIGHT, patience=0.2) if side == "candidate" else asked(RIGHT, body, patience=0.2)
    assert found.silent == side
    assert why in found.why
    assert len(found.pairs) < SILENT


def test_a_side_that_dies_half_way_is_named() -> None:
    died = WARM_UP + 20
    found = asked(lambda _, number: RIGHT if number <= died else b"crash", RIGHT)
    assert found.silent == "candidate"
    assert len(found.pairs) == 20 + SILENT


def test_an_example_on_which_one_side_fails_now_and_then_counts_as_wrong_there() -> None:
    found = asked(lambda name, _: NAN if name.endswith("7.png") else RIGHT, RIGHT)
    assert found.silent is None
    tally = compare(found.pairs).tally
    assert (tally.examples, tally.lost, tally.won) == (40, 4, 0)
    assert "finite number" in compare(found.pairs).first_failure


def test_examples_that_neither_side_can_answer_silence_no_side() -> None:
    found = asked(b"error", b"error")
    assert found.silent is None
    assert compare(found.pairs).tally.neither == len(EXAMPLES)


def test_after_its_time_the_asking_ends_with_what_there_is() -> None:
    assert asked(RIGHT, RIGHT, seconds=0) == Asked(())


def test_the_real_application_is_asked_and_the_worse_model_is_found(tmp_path: Path) -> None:
    folder = digits.write_golden_set(tmp_path / "golden")
    questions = [
        Question(
            GoldenExample(f"inputs/{number:03}.png", digit, 1),
            str(digit),
            lambda one: (folder / one.input).read_bytes(),
        )
        for number, (digit, _) in enumerate(digits.pictures())
    ]
    for version in ("1.0.0", "1.1.0"):
        content = json.loads((digits.model(version) / "manifest.json").read_text())
        content |= {"name": "digits", "version": version, "size": 1, "created": "2026-11-22T08:00:00Z"}
        (tmp_path / version).mkdir()
        (tmp_path / version / "manifest.json").write_text(json.dumps(content))
        (tmp_path / version / "model.onnx").write_bytes((digits.model(version) / "model.onnx").read_bytes())
    models = {name: {"model": str(tmp_path / name)} for name in ("1.0.0", "1.1.0")}
    (tmp_path / "replicas").mkdir()
    with started(tmp_path / "replicas", models) as servers:
        edges = {name: PublicEndpoint(f"http://127.0.0.1:{server.port}") for name, server in servers.items()}
        worse = ask_both(edges["1.1.0"], edges["1.0.0"], questions, seconds=120, chance=random.Random(1))
        same = ask_both(edges["1.0.0"], edges["1.0.0"], questions, seconds=120, chance=random.Random(1))
    found = compare(worse.pairs)
    assert (found.tally.examples, found.tally.lost, found.tally.won) == (450, 25, 2)
    assert judge(found.tally, None, Margins(0.02, 1.15)) is Verdict.WORSE
    assert compare(same.pairs).changed == 0
