"""What docker says when it fails, as it was seen, and whose move that is."""

import pytest

from flows.core.errors import (
    BuildFailed,
    CommandFailed,
    CredentialsRefused,
    EngineUnavailable,
    PermanentError,
    RegistryUnavailable,
    SlipwayError,
)
from flows.services.images.docker_errors import build_failure, push_failure
from flows.services.registry.auth import Credentials

OURS = Credentials("localhost:5001", "slipway", "secret")


def said(last: str, *, timed_out: bool = False) -> CommandFailed:
    return CommandFailed("docker failed.", details=f"#1 something\n{last}", status=1, timed_out=timed_out)


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("unauthorized: authentication required", CredentialsRefused),
        ("denied: requested access to the resource is denied", CredentialsRefused),
        ("received unexpected HTTP status: 503 Service Unavailable", RegistryUnavailable),
        ("received unexpected HTTP status: 500 Internal Server Error", RegistryUnavailable),
        ("toomanyrequests: too many requests", RegistryUnavailable),
        ("dial tcp 127.0.0.1:5001: connect: connection refused", RegistryUnavailable),
        ("unexpected EOF", RegistryUnavailable),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock", EngineUnavailable),
        ("An image does not exist locally with the tag: localhost:5001/app", PermanentError),
    ],
)
def test_a_failed_push_is_tried_again_where_that_may_help(last: str, kind: type[SlipwayError]) -> None:
    assert type(push_failure(said(last), OURS)) is kind


def test_a_push_that_takes_too_long_is_tried_again() -> None:
    assert isinstance(push_failure(said("Preparing", timed_out=True), OURS), RegistryUnavailable)


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (
            "executor failed running [/bin/sh -c curl -m 5 timeout x || echo denied 503]: exit code: 1",
            BuildFailed,
        ),
        ('process "/bin/sh -c cat <<EOF" did not complete successfully: exit code: 1', BuildFailed),
        ("failed to solve: unexpected status code [manifests 1]: 401 Unauthorized", CredentialsRefused),
        ("failed to solve: dial tcp 127.0.0.1:5001: connect: connection refused", RegistryUnavailable),
        ("dockerfile parse error line 3: unknown instruction: FORM", BuildFailed),
    ],
)
def test_a_failed_build_is_the_dockerfiles_own_unless_its_base_could_not_be_pulled(
    last: str, kind: type[SlipwayError]
) -> None:
    failure = build_failure(said(last), OURS)
    assert type(failure) is kind
    assert "secret" not in f"{failure}{failure.details}"
