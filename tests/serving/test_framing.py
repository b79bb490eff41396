import pytest

from serving.framing import MAX_HEAD, Framing

HEAD = b"POST /score HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
COMPLETE = {
    "no body": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "an empty line before it": b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a length": HEAD + b"content-LENGTH:  5\r\n\r\n01234",
    "a length of none": HEAD + b"Content-Length: 0\r\n\r\n",
    "chunks": CHUNKED + b"3\r\n012\r\nA;name=value\r\n0123456789\r\n0\r\n\r\n",
    "chunks with trailers": CHUNKED + b"3\r\n0\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\n",
    "a line in a chunk that looks like the end": CHUNKED + b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
}
UNUSABLE = {
    "chunks that are none": CHUNKED + b"not a length\r\n",
    "a chunk's size without an end": CHUNKED + b"1" * 9000,
    "a head without an end": HEAD + b"A" * MAX_HEAD,
}


def fed(*pieces: bytes) -> Framing:
    framing = Framing()
    for piece in pieces:
        assert not framing.is_complete
        framing.feed(piece)
    return framing


@pytest.mark.parametrize("request_", COMPLETE.values(), ids=COMPLETE)
def test_a_request_is_complete_with_its_last_byte_however_it_arrives(request_: bytes) -> None:
    assert fed(*(request_[i : i + 1] for i in range(len(request_)))).is_complete
    for cut in range(1, len(request_)):
        assert fed(request_[:cut], request_[cut:]).is_complete


@pytest.mark.parametrize("request_", COMPLETE.values(), ids=COMPLETE)
def test_the_next_request_changes_nothing(request_: bytes) -> None:
    assert fed(request_ + request_[:7]).is_complete


@pytest.mark.parametrize("request_", UNUSABLE.values(), ids=UNUSABLE)
def test_what_the_parser_refuses_is_left_to_it(request_: bytes) -> None:
    assert fed(request_).is_complete


def test_the_announced_length_is_known_with_the_head() -> None:
    framing = fed(HEAD + b"Content-Length: 99000000\r\nExpect: 100-continue\r\n\r\n")
    assert (framing.announced, framing.expects_continue, framing.is_complete) == (99000000, True, False)


def test_a_length_that_is_no_number_is_left_to_the_parser() -> None:
    assert fed(HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n").is_complete
