"""When the registry is asked for the base image."""

import pytest

from flows.core.build.image import Reference
from flows.core.errors import RegistryUnavailable
from flows.triggers import base_image
from flows.triggers.base_image import BaseImageCache


class Asked:
    """Answers with another digest each time, unless it is away."""

    def __init__(self) -> None:
        self.times, self.is_away = 0, False

    def __call__(self) -> Reference:
        self.times += 1
        if self.is_away:
            raise RegistryUnavailable("It is away.")
        return Reference("docker.io", "library/python", f"sha256:{self.times}")


def test_it_is_asked_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    ask, cache = Asked(), BaseImageCache()
    assert cache.get("python", "run-1", ask) == cache.get("python", "run-1", ask)
    assert ask.times == 1
    monkeypatch.setattr(base_image, "INTERVAL", 0)
    cache.get("python", "run-2", ask)
    cache.get("python", "run-2", ask)
    assert ask.times == 3


def test_it_is_asked_when_latest_has_moved_or_the_setting_has_changed() -> None:
    ask, cache = Asked(), BaseImageCache()
    for setting, run in (("python", "run-1"), ("python", "run-2"), ("python:3", "run-2")):
        cache.get(setting, run, ask)
    assert ask.times == 3


def test_a_registry_that_was_away_is_asked_again() -> None:
    ask, cache = Asked(), BaseImageCache()
    ask.is_away = True
    with pytest.raises(RegistryUnavailable):
        cache.get("python", "run-1", ask)
    ask.is_away = False
    assert cache.get("python", "run-1", ask).reference == "sha256:2"
