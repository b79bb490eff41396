"""Whose containers a run by hand may remove, where several machines use one engine."""

import socket

from flows.cli.local_ci import is_of_this_machine

RANDOM = "0123456789ab"


def test_a_run_of_this_machine_is_known_by_its_id() -> None:
    assert is_of_this_machine(f"local-{socket.gethostname()}-{RANDOM}")


def test_a_machine_whose_name_begins_with_this_ones_is_another() -> None:
    assert not is_of_this_machine(f"local-{socket.gethostname()}-2-{RANDOM}")
