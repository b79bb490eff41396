"""The login that nodes pull with is accepted only if it can pull and cannot push."""

from collections.abc import Iterator

import pytest

from deployments.cluster.pull_login import require_pull_only
from flows.config.schema import Registry as RegistrySettings
from flows.core.errors import CredentialsRefused, PermanentError, RegistryUnavailable, SettingsError
from flows.services.registry.auth import Credentials
from tests.stand_ins.guarded_registry import PASSWORD, USER, GuardedRegistry, guarded_registry


@pytest.fixture
def registry() -> Iterator[GuardedRegistry]:
    with guarded_registry() as found:
        yield found


@pytest.fixture
def twin() -> Iterator[GuardedRegistry]:
    with guarded_registry() as found:
        yield found


def check(registry: GuardedRegistry, password: str = PASSWORD, pull_address: str | None = None) -> None:
    settings = RegistrySettings(
        address=registry.address,
        repository="team/app",
        credentials="push",
        pull_address=pull_address,
        insecure=True,
    )
    require_pull_only(settings, Credentials(registry.address, USER, password))


@pytest.mark.parametrize("push", [401, 403, 405])
@pytest.mark.parametrize("pull", [200, 404], ids=["an image", "nothing pushed yet"])
def test_a_login_that_can_only_pull_is_accepted(registry: GuardedRegistry, push: int, pull: int) -> None:
    registry.push, registry.pull = push, pull
    check(registry)
    assert "POST /v2/team/app/blobs/uploads/" in registry.asked


def test_a_login_that_can_push_is_refused_and_its_upload_given_up(registry: GuardedRegistry) -> None:
    registry.push = 202
    with pytest.raises(SettingsError, match=r"slipway-registry-pull can push to .*/team/app.*only pull"):
        check(registry)
    assert registry.asked[-1] == "DELETE /v2/team/app/blobs/uploads/an-upload"


def test_a_login_that_can_push_to_the_registry_is_refused_though_the_nodes_pull_elsewhere(
    registry: GuardedRegistry, twin: GuardedRegistry
) -> None:
    registry.push, twin.push = 202, 405
    with pytest.raises(SettingsError, match=f"can push to {registry.address}"):
        check(registry, pull_address=twin.address)


def test_it_must_be_able_to_pull_where_the_nodes_do_and_not_elsewhere(
    registry: GuardedRegistry, twin: GuardedRegistry
) -> None:
    registry.pull = 401
    check(registry, pull_address=twin.address)
    registry.pull, twin.pull = 200, 403
    with pytest.raises(CredentialsRefused, match=f"{twin.address} does not let the login"):
        check(registry, pull_address=twin.address)


def test_a_wrong_password_is_not_taken_for_a_login_that_can_not_push(registry: GuardedRegistry) -> None:
    with pytest.raises(CredentialsRefused, match=r"slipway-registry-pull pull from team/app"):
        check(registry, password="wrong")


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, PermanentError, "answers 404 to an upload to team/app"),
        (503, RegistryUnavailable, "answered 503"),
    ],
)
def test_an_answer_that_does_not_tell_accepts_no_login(
    registry: GuardedRegistry, status: int, error: type[Exception], message: str
) -> None:
    registry.push = status
    with pytest.raises(error, match=message):
        check(registry)
