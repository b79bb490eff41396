"""What docker says when it fails, as it was seen, and whose move that is."""

import pytest

from flows.core.errors import (
    BuildFailed,
    CommandFailed,
    CredentialsRefused,
    EngineUnavailable,
    ImageNotFound,
    PermanentError,
    RegistryUnavailable,
    SlipwayError,
)
from flows.services.images.docker_errors import build_failure, pull_failure, push_failure
from flows.services.registry.auth import Credentials

IMAGE = "localhost:5001/team/app:1"
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
        ("manifest blob unknown: blob unknown to registry", RegistryUnavailable),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock", EngineUnavailable),
        ("An image does not exist locally with the tag: localhost:5001/app", PermanentError),
    ],
)
def test_a_failed_push_is_tried_again_where_that_may_help(last: str, kind: type[SlipwayError]) -> None:
    assert type(push_failure(said(last), IMAGE, OURS)) is kind


def test_a_refusal_is_found_before_the_progress_of_layers_that_came_after_it() -> None:
    failure = said("denied: requested access to the resource is denied\ne44a8815c35f: Preparing")
    assert isinstance(push_failure(failure, IMAGE, OURS), CredentialsRefused)


def test_a_push_that_takes_too_long_is_tried_again() -> None:
    assert isinstance(push_failure(said("Preparing", timed_out=True), IMAGE, OURS), RegistryUnavailable)


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (
            "executor failed running [/bin/sh -c curl -m 5 timeout x || echo denied 503]: exit code: 1",
            BuildFailed,
        ),
        ('process "/bin/sh -c cat <<EOF" did not complete successfully: exit code: 1', BuildFailed),
        ("failed to solve: unexpected status code [manifests 1]: 401 Unauthorized", BuildFailed),
        ("failed to solve: dial tcp 127.0.0.1:5001: connect: connection refused", RegistryUnavailable),
        ("dockerfile parse error line 3: unknown instruction: FORM", BuildFailed),
    ],
)
def test_a_failed_build_is_the_dockerfiles_own_unless_a_registry_was_away(
    last: str, kind: type[SlipwayError]
) -> None:
    assert type(build_failure(said(last))) is kind


def test_a_build_that_asks_for_a_private_image_learns_that_it_is_signed_in_nowhere() -> None:
    failure = build_failure(said("failed to solve: unexpected status code [manifests 1]: 401 Unauthorized"))
    assert "signed in to no registry" in failure.remedy


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (
            "denied: User: arn:aws:iam::1:user/ci is not authorized to perform: ecr:InitiateLayerUpload",
            "does not let these credentials push in the repository team/app",
        ),
        (
            "denied: Your authorization token has expired. Reauthenticate and try again.",
            "refuses the credentials it was given",
        ),
        (
            "tag invalid: The image tag '1' already exists and cannot be overwritten because the tag is "
            "immutable.",
            "it is locked",
        ),
        ("denied: client with IP '192.0.2.7' is not allowed access.", "The firewall of the registry"),
    ],
)
def test_a_refused_push_is_explained_by_what_the_registry_says(last: str, message: str) -> None:
    failure = push_failure(said(last), IMAGE, OURS)
    assert message in failure.happened
    assert last in failure.happened


def test_a_base_image_in_another_registry_is_not_pulled_with_the_credentials() -> None:
    failure = pull_failure(said("unauthorized: authentication required"), "docker.io/team/base:1", OURS)
    assert failure.happened.startswith("The registry docker.io refuses")
    assert "everyone may read" in failure.remedy


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ("Error response from daemon: Head http://x/v2/: no basic auth credentials", CredentialsRefused),
        ("Error response from daemon: Get http://x/v2/: connection refused", RegistryUnavailable),
        ("Error response from daemon: manifest unknown", ImageNotFound),
    ],
)
def test_a_base_image_that_could_not_be_pulled_is_named(last: str, kind: type[SlipwayError]) -> None:
    assert type(pull_failure(said(last), IMAGE, OURS)) is kind


PIP = """#9 [test 4/6] RUN pip install --requirement requirements.txt
#9 1.802 ERROR: Could not find a version that satisfies the requirement flsk==3.1.0 (from versions: none)
#9 1.803 ERROR: No matching distribution found for flsk==3.1.0
#8 1.9 fatal: of another step, which goes on
#9 1.951 [notice] A new release of pip is available: 24.0 -> 25.1
#9 ERROR: executor failed running [/bin/sh -c pip install --requirement requirements.txt]: exit code: 1
------
 > [test 4/6] RUN pip install --requirement requirements.txt:
------
executor failed running [/bin/sh -c pip install --requirement requirements.txt]: exit code: 1"""


@pytest.mark.parametrize(
    ("details", "sentence"),
    [
        (PIP, "The image could not be built: ERROR: No matching distribution found for flsk==3.1.0."),
        (
            "#7 0.31 make: *** [all] Stopped\n"
            'process "/bin/sh -c make" did not complete successfully: exit code: 2',
            "The image could not be built: make: *** [all] Stopped.",
        ),
        (
            "executor failed running [/bin/sh -c false]: exit code: 1",
            "The image could not be built: executor failed running [/bin/sh -c false]: exit code: 1.",
        ),
        (
            "dockerfile parse error line 3: unknown instruction: FORM",
            "The image could not be built: dockerfile parse error line 3: unknown instruction: FORM.",
        ),
    ],
)
def test_a_failed_build_says_first_what_the_tool_said_that_failed(details: str, sentence: str) -> None:
    failure = build_failure(CommandFailed("docker failed.", details=details, status=1))
    assert failure.happened == sentence
    assert failure.remedy == BuildFailed.advice


def test_a_build_that_takes_too_long_says_what_it_did_last() -> None:
    late = "docker build took longer than 5 s."
    failure = build_failure(CommandFailed(late, details="#7 4 waiting", status=1, timed_out=True))
    assert failure.happened == f"The image could not be built: {late} Its last lines: #7 4 waiting."
