"""What others wrote is plain text in Markdown."""

import re

import pytest
from markdown_it import MarkdownIt

from flows.core.markdown import Markdown, block, linked, plain

HOSTILE = [
    "[sign in again](https://evil.example)",
    "![x](https://evil.example/seen.png)",
    "![x][1]",
    "<img src=x onerror=alert(1)>",
    "<https://evil.example>",
    "see https://evil.example or www.evil.example",
    "a | b | c",
    "a \\| b",
    "`code` and ``more``",
    "*bold* **strong** _it_ __init__ ~~no~~",
    "&lt;b&gt; &#91;x](y)",
    "a\\[b](c)",
    "]](",
    "# no heading",
]


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


def text_of(html: str) -> str:
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        html = html.replace(entity, character)
    return html


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_shows_the_text_and_nothing_else(text: str) -> None:
    html = rendered(f"| a | b |\n|---|---|\n| {plain(text)} | end |")
    cells = re.findall("<td>(.*?)</td>", html)
    assert [text_of(cell) for cell in cells] == [text, "end"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_of_a_list_shows_the_text_and_nothing_else(text: str) -> None:
    html = rendered(f"- commit: {plain(text)}")
    assert text_of(html) == f"<ul>\n<li>commit: {text}</li>\n</ul>\n"


@pytest.mark.parametrize("address", ["https://", "http://", "HTTPS://", "ftp://"])
def test_an_address_does_not_become_a_link_by_itself(address: str) -> None:
    assert address not in plain(f"see {address}evil.example")
    assert "www.evil" not in plain("see www.evil.example")


@pytest.mark.parametrize("text", ["release 3 (4f2c9e1 + classifier 1.1.0)", "check.test_serves_it!", "5 < 6"])
def test_usual_text_stays_as_it_is(text: str) -> None:
    assert plain(text).replace("\\<", "<") == text


def test_a_line_break_ends_no_cell() -> None:
    assert plain("a\nb\u2028c") == "a b c"


def test_what_is_markdown_on_purpose_stays() -> None:
    link = linked("run [1]", "http://prefect/runs/1?a=(b)")
    assert isinstance(link, Markdown)
    assert plain(link) == "[run \\[1\\]](http://prefect/runs/1?a=%28b%29)"
    assert linked("no address", "") == "no address"


def test_an_address_does_not_end_its_link() -> None:
    html = rendered(linked("this", "http://prefect/x) [phish](https://evil.example"))
    assert html.count("<a ") == 1
    assert 'href="http://prefect/x' in html


@pytest.mark.parametrize("story", ["plain", "```\n[x](y)", "````` five", "~~~", "    indented"])
def test_nothing_in_a_code_block_ends_it(story: str) -> None:
    html = rendered(f"{block(story)}\n\nafter")
    assert text_of(html) == f"<pre><code>{story}\n</code></pre>\n<p>after</p>\n"
