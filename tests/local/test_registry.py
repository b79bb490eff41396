import httpx
import pytest

from deployments.local.docker import images
from deployments.local.docker.engine import connect, find_container
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.stores import registry as embedded
from deployments.local.stores.registry import RegistryAccess
from tests.support.preparing import BringUpParts

pytestmark = pytest.mark.exclusive


def ask(access: RegistryAccess, path: str, password: str | None) -> httpx.Response:
    login = (access.username, password) if password else None
    return httpx.get(f"http://{access.address}/v2/{path}", auth=login, trust_env=False)


def test_it_wants_a_password(registry: RegistryAccess) -> None:
    assert ask(registry, "", None).status_code == 401
    assert ask(registry, "", "guess").status_code == 401
    assert ask(registry, "", registry.password).status_code == 200


def push_status(address: str, username: str, password: str) -> int:
    url = f"http://{address}/v2/slipway/base/blobs/uploads/"
    return httpx.post(url, auth=(username, password), trust_env=False).status_code


def test_what_nodes_pull_with_can_pull_and_pushes_nowhere(registry: RegistryAccess) -> None:
    login = (registry.pull_username, registry.pull_password)
    url = f"http://{registry.pull_address}/v2/slipway/base/tags/list"
    assert httpx.get(url, auth=login, trust_env=False).json()["tags"]
    assert push_status(registry.address, *login) == 401
    assert push_status(registry.pull_address, *login) == 405


def test_its_twin_takes_no_push_of_ci_either(registry: RegistryAccess) -> None:
    assert push_status(registry.address, registry.username, registry.password) == 202
    assert push_status(registry.pull_address, registry.username, registry.password) == 401


def test_the_base_image_is_in_it(registry: RegistryAccess) -> None:
    tags = ask(registry, "slipway/base/tags/list", registry.password).json()["tags"]
    client = connect()
    base = client.images.get(images.ensure(client, images.BASE, print))
    assert str(base.id).removeprefix("sha256:")[:12] in tags


def test_images_can_be_deleted(registry: RegistryAccess) -> None:
    unknown = f"http://{registry.address}/v2/slipway/base/manifests/sha256:{'0' * 64}"
    answer = httpx.delete(unknown, auth=(registry.username, registry.password), trust_env=False)
    assert answer.status_code == 404  # and not 405: not allowed


def test_bringing_it_up_again_leaves_it_alone(
    registry: RegistryAccess, bring_up: BringUpParts, instance: Instance
) -> None:
    before = find_container(connect(), instance, embedded.ROLE)
    again = bring_up(BringUp.registry).result()
    after = find_container(connect(), instance, embedded.ROLE)
    assert again == registry
    assert before
    assert after
    assert (after.id, after.attrs["State"]["StartedAt"]) == (before.id, before.attrs["State"]["StartedAt"])


def test_killed_it_comes_back_with_its_images(
    registry: RegistryAccess, bring_up: BringUpParts, instance: Instance
) -> None:
    for role in (embedded.ROLE, embedded.PULL_ROLE):
        container = find_container(connect(), instance, role)
        assert container
        container.remove(force=True)
    assert bring_up(BringUp.registry).result() == registry
    assert push_status(registry.pull_address, registry.pull_username, registry.pull_password) == 405
    assert ask(registry, "slipway/base/tags/list", registry.password).status_code == 200


@pytest.mark.parametrize("file", ["access.json", "pull-access.json"])
def test_only_its_owner_can_read_the_password(
    registry: RegistryAccess, instance: Instance, file: str
) -> None:
    assert (instance.state / "registry" / file).stat().st_mode & 0o077 == 0
