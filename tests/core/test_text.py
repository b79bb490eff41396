"""Texts of others: what a terminal obeys and a database refuses is taken out, and a log's end is quoted."""

import pytest

from flows.core.errors import PermanentError
from flows.core.text import QUOTED_CHARACTERS, last_words, one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, Grüße, 日本語, 👍", "plain, Grüße, 日本語, 👍"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b1;31mred\x9b0m", "red"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;https://evil.example\x1b\\a link\x1b]8;;\x1b\\", "a link"),
        ("\x1b]never ended", ""),
        ("\x1b[2J\x1b[Hfirst", "first"),
        ("\x1bcreset", "reset"),
        ("a\x00b\x7fc\x08d\x85e", "abcd e"),
        ("over\rwritten", "over written"),
        ("from\u202eright\u2066to\u200bleft", "fromrighttoleft"),
        ("wide\u3000and\xa0fixed", "wide and fixed"),
        ("half\udc80", "half"),
    ],
)
def test_control_characters_go_and_text_stays(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_one_line_has_no_line_break_of_any_kind() -> None:
    assert one_line("a\nb\r\nc\u2028d\x0be\x85f") == "a b  c d e f"


def test_an_error_shows_nothing_that_a_terminal_obeys() -> None:
    error = PermanentError("It \x1b[31mfailed\x00.", "Look\x1b[0m.", details="one\x1b[2J\ntwo")
    assert (str(error), error.details) == ("It failed. Look.", "one\ntwo")


def test_the_end_of_a_log_is_a_sentence_of_its_own() -> None:
    log = "one\n\n two \nthree\nRuntimeError: it has died.\n\n"
    assert last_words(log) == " Its last lines: two / three / RuntimeError: it has died."
    assert last_words(" \n") == ""
    assert len(last_words("x" * 1000)) < QUOTED_CHARACTERS + 20
