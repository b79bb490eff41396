import hashlib
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.app.picture_files import filled, png_header
from tests.app.server import Server, received

MB = 1024 * 1024
TOO_LARGE = "urn:problem-type:slipway:request-too-large"


def score(server: Server, picture: bytes, content_type: str = "image/png") -> int:
    return server.ask("POST", "/score", picture, Content_Type=content_type)[0]


def begin_request(server: Server, length: int, *more: str) -> socket.socket:
    """A connection that has announced a picture of so many bytes."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    headers = ("Host: app", "Content-Type: image/png", f"Content-Length: {length}", *more)
    connection.sendall("\r\n".join(("POST /score HTTP/1.1", *headers, "", "")).encode())
    return connection


def begin_request_in_hand(server: Server, length: int) -> socket.socket:
    """The same, once a worker has asked for the picture: before, it may wait in no worker's queue."""
    connection = begin_request(server, length, "Expect: 100-continue")
    assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return connection


def refusal(server: Server) -> str:
    """The one line in which a server says why it did not start."""
    assert server.exit_status() == 1
    (line,) = (line for line in server.output().splitlines() if "[INFO]" not in line)
    return line


def test_the_counts_of_all_workers_are_added_up(server: Server, three: bytes) -> None:
    requests = 'http_requests_total{route="/score",status="200"}'
    before = server.counted(requests), server.counted("predictions_total")
    with ThreadPoolExecutor(8) as senders:
        assert set(senders.map(lambda _: score(server, three), range(40))) == {200}
    assert {server.counted(requests) - before[0] for _ in range(8)} == {40}
    assert {server.counted("predictions_total") - before[1] for _ in range(8)} == {40}


def test_metrics_tell_routes_statuses_durations_and_the_model(server: Server) -> None:
    server.ask("GET", "/made-up")
    server.ask("GET", "/version")
    metrics = server.probe("/metrics")[1]
    assert 'http_requests_total{route="none",status="404"}' in metrics
    assert "made-up" not in metrics
    assert 'http_request_duration_seconds_bucket{le="0.1",route="/version"}' in metrics
    assert 'model_info{digest="sha256:aa7a6c69' in metrics


def test_the_counts_of_a_worker_that_is_just_starting_are_left_out(server: Server, three: bytes) -> None:
    assert score(server, three) == 200
    predictions = server.counted("predictions_total")
    empty = server.counts / "counter_0.db"
    empty.touch()
    try:
        assert server.counted("predictions_total") == predictions
    finally:
        empty.unlink()


def test_a_body_in_chunks_is_read(server: Server, three: bytes) -> None:
    status, _ = server.ask("POST", "/score", iter([three[:50], three[50:]]), Content_Type="image/png")
    assert status == 200


@pytest.mark.parametrize("content_type", ["image/png", "application/json", "multipart/form-data; boundary=x"])
def test_chunks_that_add_up_to_too_much_are_refused(server: Server, content_type: str) -> None:
    endless = chain(
        [b"--x\r\nContent-Disposition: form-data; name=a; filename=a\r\n\r\n"], repeat(bytes(MB), 70)
    )
    status, problem = server.ask("POST", "/score", endless, Content_Type=content_type)
    assert (status, json.loads(problem)["type"]) == (413, TOO_LARGE)


def test_who_sends_too_much_still_gets_the_answer(server: Server) -> None:
    status, problem = server.ask("POST", "/score", bytes(70 * MB), Content_Type="image/png")
    assert (status, json.loads(problem)["type"]) == (413, TOO_LARGE)


def test_chunks_that_are_none_are_refused(server: Server) -> None:
    head = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head + b"not a length\r\n")
        assert received(connection).startswith(b"HTTP/1.1 400")


def test_no_worker_is_lost_to_bad_input(server: Server, three: bytes) -> None:
    workers = server.workers()
    bodies = [b"", b"a cat", three[:60], png_header(8000, 6250), png_header(9999, 9999), b"[" * MB]
    kinds = ["image/png", "application/json", "multipart/form-data; boundary=x", "text/plain"]
    requests = [(body, kind) for body in bodies for kind in kinds] * 5
    with ThreadPoolExecutor(16) as senders:
        statuses = set(senders.map(lambda request: score(server, *request), requests))
    assert statuses == {400, 413, 415, 422}
    for _ in range(20):
        with begin_request(server, 1000) as breaks_off:
            breaks_off.sendall(b"half of a picture")
    assert score(server, three) == 200
    assert server.workers() == workers
    assert "Traceback" not in server.output()


def test_large_pictures_are_answered_beside_small_ones(server: Server, three: bytes) -> None:
    large = filled("white", size=(4000, 2500))
    with ThreadPoolExecutor(6) as senders:
        assert set(senders.map(lambda picture: score(server, picture), [large, three] * 4)) == {200}


def test_counts_begin_with_the_server_and_outlive_its_workers(
    server: Server, serve: Callable[..., Server], digits: Path, three: bytes, tmp_path: Path
) -> None:
    assert score(server, three) == 200
    earlier = Path(shutil.copytree(server.counts, tmp_path / "counts"))
    server = serve(digits, PROMETHEUS_MULTIPROC_DIR=str(earlier))
    server.wait_until(server.is_ready)
    assert server.counted("predictions_total") == 0
    with ThreadPoolExecutor(8) as senders:
        assert set(senders.map(lambda _: score(server, three), range(20))) == {200}
    lost = min(server.workers())
    os.kill(lost, signal.SIGKILL)
    server.wait_until(lambda: lost not in server.workers() and len(server.workers()) == 2)
    server.wait_until(server.is_ready)
    assert server.counted("predictions_total") == 20


def test_it_finishes_what_it_has_when_asked_to_stop(
    serve: Callable[..., Server], digits: Path, three: bytes
) -> None:
    server = serve(digits)
    server.wait_until(server.is_ready)
    with begin_request_in_hand(server, len(three)) as connection:
        connection.sendall(three[:50])
        server.tell_to_stop()
        connection.sendall(three[50:])
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'["3",100.0]' in answer
    assert server.exit_status() == 0


def test_who_falls_silent_does_not_keep_others_waiting(
    serve: Callable[..., Server], digits: Path, three: bytes
) -> None:
    server = serve(digits, CLIENT_SECONDS="1", WEB_CONCURRENCY="1")
    server.wait_until(server.is_ready)
    silent = [begin_request(server, 1000) for _ in range(10)]  # more than there are threads
    for connection in silent:
        with connection:
            assert received(connection).startswith(b"HTTP/1.1 408")
    assert score(server, three) == 200


def test_a_model_that_is_not_the_published_one_ends_the_start_in_one_line(
    serve: Callable[..., Server], digits: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(digits, tmp_path / "model"))
    (model / "model.onnx").write_bytes(b"another")
    server = serve(model)
    assert refusal(server).startswith(f"The model is refused: {model}/model.onnx has the digest sha256:")


def test_a_model_that_does_not_load_ends_the_start_in_one_line(
    serve: Callable[..., Server], digits: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(digits, tmp_path / "model"))
    content = b"not a model"
    (model / "model.onnx").write_bytes(content)
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["digest"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (model / "manifest.json").write_text(json.dumps(manifest))
    server = serve(model)
    assert refusal(server).startswith(f"The model is refused: {model}/model.onnx does not load: ")
