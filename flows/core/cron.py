"""Cron expressions that have one meaning only.

Prefect's scheduler reads them with one library, the nights are judged with another. The two differ in what is
not part of crontab(5): seconds, `L`, `W`, `#`, `?`, `@daily`, ranges that wrap around, steps from a number.
"""

import re

FIELDS = 5
NUMBERS = re.compile(r"(\d{1,2})(?:-(\d{1,2})(?:/(\d{1,2}))?)?")
NAMES = re.compile(r"([a-z]{3})(?:-([a-z]{3})(?:/\d{1,2})?)?", re.IGNORECASE)
EVERY = re.compile(r"\*(/\d{1,2})?")
RULE = "must have five fields (minute, hour, day, month, weekday), such as 0 2 * * *"


def dispute(expression: str) -> str | None:
    """The rule that the expression breaks, where libraries read it in different ways; else None."""
    fields = expression.split()
    if len(fields) != FIELDS:
        return RULE
    for field in fields:
        if not EVERY.fullmatch(field) and not all(map(_is_plain, field.split(","))):
            return f"{RULE}; {field!r} is neither a number, a name, a range, a list of these, *, nor */number"
    day, weekday = fields[2], fields[4]
    if "*" not in {day, weekday} and "*" in day + weekday:
        return "must not have both a day and a weekday where one of them is */number"
    days = _days(day)
    if days & {1, 2} and days & {30, 31} and 29 not in days:  # croniter's way from the 31st into February
        return "must not name the first and last days of a month without the 29th: Prefect leaves out March's"
    return None


def _days(field: str) -> set[int]:
    """The days of a month that a field of numbers names."""
    if every := EVERY.fullmatch(field):
        return set(range(1, 32, int((every[1] or "/1")[1:]) or 1))
    days: set[int] = set()
    for part in field.split(","):
        if found := NUMBERS.fullmatch(part):
            first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
            days |= set(range(first, last + 1, step or 1))
    return days


def _is_plain(part: str) -> bool:
    """A number, a name, or a range of either that has more than one."""
    if found := NUMBERS.fullmatch(part):
        return found[2] is None or int(found[1]) < int(found[2])
    if found := NAMES.fullmatch(part):
        return found[2] is None or found[1].lower() != found[2].lower()
    return False
