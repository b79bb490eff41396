"""The team of the triggers, whose runs are explained here."""

from tests.triggers.conftest import team

__all__ = ["team"]
