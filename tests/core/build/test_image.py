import pytest

from flows.core.build.image import Reference, familiar, parse, reference_of
from flows.core.errors import PermanentError

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("python:3.11-slim-bookworm", Reference("docker.io", "library/python", "3.11-slim-bookworm")),
        ("grafana/grafana", Reference("docker.io", "grafana/grafana", "latest")),
        ("localhost:5001/slipway/base", Reference("localhost:5001", "slipway/base", "latest")),
        ("myteam.azurecr.io/base:1", Reference("myteam.azurecr.io", "base", "1")),
        (f"localhost:5001/base@{DIGEST}", Reference("localhost:5001", "base", DIGEST)),
        (f"python:3.11@{DIGEST}", Reference("docker.io", "library/python", DIGEST)),
    ],
)
def test_a_name_is_taken_apart_as_docker_does(name: str, expected: Reference) -> None:
    assert parse(name) == expected


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("python:3.11", "python"),
        ("grafana/grafana:1", "grafana/grafana"),
        ("myteam.azurecr.io/library/base:1", "myteam.azurecr.io/library/base"),
    ],
)
def test_docker_shows_a_repository_of_docker_hub_without_its_address(name: str, shown: str) -> None:
    assert familiar(parse(name)) == shown


@pytest.mark.parametrize("wanted", ["latest", "v1.2", "c" * 64, DIGEST, " latest "])
def test_what_a_person_asks_for_is_a_reference(wanted: str) -> None:
    assert reference_of(wanted) == wanted.strip()


@pytest.mark.parametrize("wanted", ["", "-x", "a b", "sha256:abc", "repo:tag"])
def test_anything_else_is_refused_with_what_to_give(wanted: str) -> None:
    with pytest.raises(PermanentError, match="Give latest, a tag, a capsule's hash, or a digest"):
        reference_of(wanted)
