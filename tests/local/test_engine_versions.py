import pytest

from deployments.local.docker.engine import connect
from deployments.local.docker.versions import warnings


def components(engine: str, runc: str) -> list[dict[str, str]]:
    return [{"Name": "Engine", "Version": engine}, {"Name": "runc", "Version": runc}]


@pytest.mark.parametrize(
    ("engine", "runc", "versions"),
    [
        ("20.10.24+dfsg1", "1.1.5+ds1", "docker 20.10.24+dfsg1 and runc 1.1.5+ds1"),
        ("25.0.1", "1.2.8", "docker 25.0.1."),
        ("28.3.0", "1.2.7", "runc 1.2.7."),
        ("28.3.0", "1.3.2", "runc 1.3.2."),
    ],
)
def test_an_engine_that_a_build_can_escape_from_is_named(engine: str, runc: str, versions: str) -> None:
    (warning,) = warnings(components(engine, runc))
    assert warning.startswith(f"This machine has {versions}")
    assert "Install docker 25.0.2 with runc 1.2.8 or newer" in warning


@pytest.mark.parametrize(("engine", "runc"), [("25.0.2", "1.2.8"), ("29.0.0", "1.3.3"), ("29.0.0", "1.4.0")])
def test_a_newer_engine_is_not_mentioned(engine: str, runc: str) -> None:
    assert warnings(components(engine, runc)) == []


def test_an_engine_that_names_no_runc_is_not_mentioned_for_it() -> None:
    assert warnings([{"Name": "Engine", "Version": "29.0.0"}, {"Name": "crun", "Version": "1.8"}]) == []


@pytest.mark.apart
def test_the_real_engine_names_its_components() -> None:
    assert {"Engine", "runc"} <= {one["Name"] for one in connect().version()["Components"]}
