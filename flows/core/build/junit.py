"""JUnit XML as runners of every language write it, made into XML that a parser takes.

There is no standard. Runners declare other encodings, copy what a test printed with its control characters,
and write times in the notation of their country.
"""

import codecs
import math
import re

DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._:-]+)["']""")
DECLARATION = re.compile(r"^\s*<\?xml.*?\?>", re.DOTALL)
NAMESPACE = re.compile(r"""\sxmlns\s*=\s*("[^"]*"|'[^']*')""")
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
"""What a document begins with in encodings whose declaration is not ASCII (XML 1.0, appendix F)."""

WIDE = ("utf-16", "utf-32", "ucs", "iso-10646")

NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0, section 2.2: "Char"."""

REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,10}));")
REPLACEMENT = "\ufffd"

PLAIN = re.compile(r"^-?\d+(\.\d+)?([eE][-+]?\d+)?$")
THOUSANDS = re.compile(r"^-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$")
CONTINENTAL = re.compile(r"^-?\d{1,3}(\.\d{3})*,\d+$")
UNIT = re.compile(r"^(.*?\d)\s*(ns|us|µs|μs|ms|s|sec|seconds?|m|min)$")
SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "m": 60.0, "min": 60.0}


def as_xml(report: bytes) -> str:
    """The report without a declaration, in characters that XML has; those that it has not are replaced.

    `ValueError` where the encoding that it declares is not known.
    """
    declared = DECLARED.search(report[:200])
    named = declared[1].decode() if declared else "utf-8"
    if named.lower().startswith(WIDE):  # but the declaration was just read as ASCII
        named = "utf-8"
    encoding = next((name for mark, name in MARKS if report.startswith(mark)), named)
    try:
        text = report.decode(encoding, errors="replace")
    except LookupError as error:
        raise ValueError(f"its encoding {encoding!r} is not known") from error
    text = NAMESPACE.sub("", DECLARATION.sub("", text, count=1))
    return REFERENCE.sub(_reference, NO_CHARACTER.sub(REPLACEMENT, text))


def _reference(found: re.Match[str]) -> str:
    code = int(found[1], 16) if found[1] else int(found[2])
    is_character = code <= 0x10FFFF and not NO_CHARACTER.match(chr(code))
    return found[0] if is_character else REPLACEMENT


def seconds(text: str | None) -> float:
    """What a time says: 0.25, 1,024.12, 0,25 or 80.8us; none, or one before the start, is 0.

    `ValueError` where it is no time.
    """
    amount, factor = (text or "0").strip() or "0", 1.0
    if with_unit := UNIT.match(amount):
        amount, factor = with_unit[1], SECONDS.get(with_unit[2], 1.0)
    if THOUSANDS.match(amount):
        amount = amount.replace(",", "")
    elif CONTINENTAL.match(amount):
        amount = amount.replace(".", "").replace(",", ".")
    if not PLAIN.match(amount) or not math.isfinite(float(amount)):
        raise ValueError(f"the time {(text or '')[:60]!r} is no number of seconds")
    return max(0.0, float(amount) * factor)
