import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import pytest
from PIL import Image

from app.memory import FREE, THREADS, UNIT, Memory, Room
from app.problems import MAX_JSON_BYTES, MAX_REQUEST_BYTES, MB, Problem
from app.turns import Turns
from tests.app.picture_files import base64, encoded
from tests.app.server import Server

LIMIT_MB = 1280
"""Of the pod in deployments/kubernetes."""
NOW = 0.0


def test_places_are_free_again_after_their_holder(tmp_path: Path) -> None:
    turns = Turns(tmp_path, "seats", 2)
    with turns.take(1, NOW), turns.take(1, NOW), pytest.raises(TimeoutError), turns.take(1, NOW):
        pass
    with turns.take(2, NOW):
        pass


def test_who_wants_more_than_there_are_gets_all(tmp_path: Path) -> None:
    turns = Turns(tmp_path, "seats", 2)
    with turns.take(9, NOW), pytest.raises(TimeoutError), turns.take(1, NOW):
        pass


def test_two_that_want_more_than_half_wait_for_each_other_in_turn(tmp_path: Path) -> None:
    turns = Turns(tmp_path, "seats", 3)

    def sit(_: int) -> bool:
        with turns.take(2, time.monotonic() + 20):
            return True

    with ThreadPoolExecutor(4) as guests:
        assert all(guests.map(sit, range(8)))


def test_a_part_that_was_taken_in_vain_is_given_back(tmp_path: Path) -> None:
    turns = Turns(tmp_path, "seats", 2)
    with turns.take(1, NOW), pytest.raises(TimeoutError), turns.take(2, NOW):
        pass
    with turns.take(2, NOW):
        pass


def test_some_threads_of_a_worker_are_for_small_requests(tmp_path: Path) -> None:
    memory = Memory(tmp_path, 99_999 * MB, 3)
    with ExitStack() as rooms:
        for _ in range(THREADS):
            rooms.enter_context(Room(memory)).take(memory.pictures, UNIT)
        with Room(memory) as small, Room(memory) as large:
            small.take(memory.pictures, FREE - 1)
            with pytest.raises(Problem) as refused:
                large.take(memory.pictures, UNIT)
    assert refused.value.code == 503
    assert ("Retry-After", "5") in refused.value.get_headers()
    with Room(memory) as large:
        large.take(memory.pictures, UNIT)


def used(server: Server) -> int:
    """Megabytes of memory that all processes of a server have now."""
    kilobytes = 0
    for pid in (server.process.pid, *server.workers()):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        kilobytes += sum(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return kilobytes // 1024


def a_form() -> tuple[bytes, str]:
    part = b"--x\r\nContent-Disposition: form-data; name=a; filename=a.png\r\n\r\n%s\r\n"
    body = b"".join([part % bytes(10 * MB)] * 6) + b"--x--\r\n"
    assert MAX_REQUEST_BYTES * 0.9 < len(body) < MAX_REQUEST_BYTES
    return body, "multipart/form-data; boundary=x"


def json_of_the_older_form() -> tuple[bytes, str]:
    picture = base64(bytes(4 * MB - 4096))
    body = json.dumps({"input": json.dumps([picture] * 3)})
    assert MAX_JSON_BYTES * 0.9 < len(body) < MAX_JSON_BYTES
    return body.encode(), "application/json"


def a_picture() -> tuple[bytes, str]:
    white = Image.new("RGB", (7000, 7000), "white")
    return encoded(white, "WEBP", method=0), "image/webp"  # the fastest way to encode it


@pytest.fixture(scope="module")
def pod(serve: Callable[..., Server], digits: Path) -> Server:
    """A server with the limits and variables of a pod."""
    server = serve(digits, MEMORY_LIMIT_MB=str(LIMIT_MB), MALLOC_MMAP_THRESHOLD_="1048576")
    server.wait_until(server.is_ready)
    return server


@pytest.mark.parametrize("upload", [a_form, json_of_the_older_form, a_picture])
def test_eight_uploads_of_the_largest_size_fit_into_the_pod(
    pod: Server, three: bytes, upload: Callable[[], tuple[bytes, str]]
) -> None:
    body, content_type = upload()
    workers = pod.workers()
    peak = 0
    with ThreadPoolExecutor(8) as senders:
        sent = [senders.submit(pod.ask, "POST", "/score", body, Content_Type=content_type) for _ in range(8)]
        while not all(answer.done() for answer in sent):
            peak = max(peak, used(pod))
            wait(sent, timeout=0.01)
    statuses = {answer.result()[0] for answer in sent}
    assert statuses <= {200, 422, 503}
    assert statuses & {200, 422}, "At least one is answered."
    assert peak < LIMIT_MB
    assert pod.ask("POST", "/score", three, Content_Type="image/png")[0] == 200
    assert pod.workers() == workers
