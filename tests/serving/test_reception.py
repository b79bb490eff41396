import pytest

from serving.reception import IN_MEMORY, Reception, Rules

RULES = Rules(body=1_000_000, held=0, seconds=10, progress=1000, wait=20)
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


def reception(*pieces: tuple[float, bytes]) -> Reception:
    """What arrived at these times."""
    found = Reception(RULES, 0)
    for when, piece in pieces:
        found.take(piece, when)
    return found


def test_a_head_has_its_seconds_whatever_arrives_of_it() -> None:
    slow = reception((0, b"POST / HT"), (9, b"TP/1.1\r\nHost: a\r\n"))
    assert (slow.is_late(10), slow.is_late(10.1)) == (False, True)


def test_a_body_has_its_seconds_from_the_head_on() -> None:
    begun = reception((9, HEAD % 5000))
    assert (begun.is_late(19), begun.is_late(19.1)) == (False, True)


def test_a_body_that_makes_progress_has_them_again() -> None:
    slow = reception((0, HEAD % 5000), (9, bytes(500)), (10, bytes(500)))
    assert (slow.is_late(20), slow.is_late(20.1)) == (False, True)


def test_a_body_that_makes_too_little_progress_is_late() -> None:
    dripping = reception((0, HEAD % 5000), *((when, b"0") for when in range(1, 10)))
    assert dripping.is_late(10.1)


def test_what_arrived_at_once_earns_no_time_to_be_slow_later() -> None:
    held_back = reception((0, HEAD % 900_000), (1, bytes(800_000)), (9, b"0"))
    assert held_back.is_late(11.1)


@pytest.mark.parametrize(
    ("announced", "arrived", "is_complete", "is_too_large"),
    [
        (0, 0, True, False),
        (1000, 999, False, False),
        (1000, 1000, True, False),
        (RULES.body, RULES.body, True, False),
        (RULES.body + 1, 0, False, True),
    ],
)
def test_a_request_goes_on_when_it_is_complete_or_too_large(
    announced: int, arrived: int, is_complete: bool, is_too_large: bool
) -> None:
    seen = reception((0, HEAD % announced + bytes(arrived)))
    assert (seen.is_complete, seen.is_too_large) == (is_complete, is_too_large)


def test_chunks_without_an_end_become_too_large() -> None:
    chunk = b"%X\r\n%s\r\n" % (200_000, bytes(200_000))
    endless = reception((0, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), *[(1, chunk)] * 8)
    assert endless.is_too_large


def test_only_what_is_in_a_file_counts_as_held() -> None:
    assert reception((0, bytes(IN_MEMORY))).held == 0
    assert reception((0, bytes(IN_MEMORY + 1))).held == IN_MEMORY + 1


def test_it_waits_for_a_thread_as_long_as_it_may() -> None:
    seen = reception((0, HEAD % 2 + b"01"))
    seen.hand_over(5)
    assert (seen.is_late(25), seen.is_late(25.1)) == (False, True)


def test_the_parser_reads_what_arrived_and_leaves_the_next_request() -> None:
    seen = reception((0, HEAD % 2), (1, b"01GET / "))
    seen.hand_over(1)
    assert seen.recv(len(HEAD % 2) + 2) == HEAD % 2 + b"01"
    assert seen.rest() == b"GET / "
    assert seen.recv(1) == b""
