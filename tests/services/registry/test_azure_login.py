"""Signing in at Azure Container Registry as an identity, and how its refusals are reported."""

import io
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from azure.containerregistry import ContainerRegistryClient

from flows.config.schema import Azure
from flows.config.schema import Registry as RegistrySettings
from flows.core.errors import (
    CredentialsRefused,
    ImageNotFound,
    PermanentError,
    RegistryUnavailable,
    SlipwayError,
)
from flows.credentials import environment
from flows.services.images.container_engine import Build, ContainerEngine
from flows.services.process import tls
from flows.services.process.command import silent
from flows.services.registry.auth import anonymous
from flows.services.registry.azure_login import azure_login, rights
from flows.services.registry.client import Registry
from tests.stand_ins.acr import AUDIENCE, Acr, acr
from tests.stand_ins.entra import Entra, entra
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.platform, pytest.mark.apart]

PUSHER, READER, DELETER, STRANGER = (str(uuid.UUID(int=number)) for number in range(1, 5))


AsIdentity = Callable[[str], Registry]
"""The repository as that application."""


@pytest.fixture(scope="module")
def directory() -> Iterator[Entra]:
    with entra() as found, pytest.MonkeyPatch.context() as variables:
        for name, value in found.variables.items():
            variables.setenv(name, value)
        tls.authorities.cache_clear()
        yield found
    tls.authorities.cache_clear()


@pytest.fixture(scope="module")
def only_registry(directory: Entra) -> Iterator[Acr]:
    with acr(directory) as found:
        yield found


@pytest.fixture
def azure(only_registry: Acr) -> Iterator[Acr]:
    """The registry as each test finds it: nothing locked, closed or throttled."""
    only_registry.roles = {PUSHER: {"AcrPush"}, READER: {"AcrPull"}, DELETER: {"AcrDelete"}}
    yield only_registry
    only_registry.repository_roles, only_registry.locked = {}, set()
    only_registry.anonymous_pull = only_registry.firewall = False
    only_registry.access_lifetime, only_registry.refresh_lifetime = 4500, 10800
    only_registry.throttled, only_registry.upload_speed = [], None


@pytest.fixture
def repository() -> str:
    return f"team/{uuid.uuid4().hex}"


@pytest.fixture
def as_identity(azure: Acr, directory: Entra, repository: str) -> AsIdentity:
    def client(application: str) -> Registry:
        login = azure_login(azure.address, lambda: directory.identity(application))
        return Registry(azure.address, repository, login)

    return client


def test_the_stand_in_satisfies_azures_own_client(azure: Acr, directory: Entra, repository: str) -> None:
    credential = directory.identity(PUSHER).credential
    with ContainerRegistryClient(f"https://{azure.address}", credential, audience=AUDIENCE) as client:
        content = random.randbytes(5 << 20)
        digest, size = client.upload_blob(repository, io.BytesIO(content))
        assert b"".join(client.download_blob(repository, digest)) == content
        layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size}
        config, config_size = client.upload_blob(repository, io.BytesIO(b"{}"))
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config,
                "size": config_size,
            },
            "layers": [layer],
        }
        pushed = client.set_manifest(repository, manifest, tag="v1")
        assert client.get_manifest(repository, "v1").digest == pushed
        assert [tag.name for tag in client.list_tag_properties(repository)] == ["v1"]
        assert list(client.list_repository_names()) == [repository]
    azure.anonymous_pull = True
    with ContainerRegistryClient(f"https://{azure.address}", audience=AUDIENCE) as stranger:
        assert stranger.get_manifest(repository, "v1").digest == pushed


def test_an_identity_pushes_and_its_token_is_exchanged_once(azure: Acr, as_identity: AsIdentity) -> None:
    registry, before = as_identity(PUSHER), len(azure.exchanges)
    registry.attach("capsule", b'{"schema": 1}')
    assert registry.attached("capsule") == b'{"schema": 1}'
    assert azure.exchanges[before:] == [PUSHER]


def test_the_identity_of_the_settings_signs_in_in_a_run_by_hand(
    azure: Acr, directory: Entra, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.identity(PUSHER)
    for name in (environment.USERNAME, environment.PASSWORD):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(environment.AZURE_SECRET, directory.secrets[PUSHER])
    wanted = RegistrySettings(address=azure.address, repository=repository, login="azure")
    identity = Azure(
        identity="service-principal",
        tenant=directory.tenant,
        client_id=PUSHER,
        credentials="any",
        authority=directory.url,
    )
    registry = Registry(azure.address, repository, environment.registry_login(wanted, identity))
    registry.attach("capsule", b"{}")
    assert registry.attached("capsule") == b"{}"


def test_the_rights_of_an_identity_are_read_and_nothing_is_pushed(
    azure: Acr, as_identity: AsIdentity
) -> None:
    found = {}
    for name in (PUSHER, READER, DELETER):
        registry = as_identity(name)
        found[name] = rights(registry.address, registry.repository, registry.login)
    assert found[PUSHER] == {"pull", "push", "metadata_read"}
    assert found[READER] == {"pull", "metadata_read"}
    assert found[DELETER] == {"delete"}


def test_a_token_that_may_not_outlast_a_push_is_exchanged_again(azure: Acr, as_identity: AsIdentity) -> None:
    registry, before = as_identity(PUSHER), len(azure.exchanges)
    azure.refresh_lifetime = 3599
    assert registry.tags() == registry.tags() == []
    assert azure.exchanges[before:] == [PUSHER, PUSHER]


def test_access_tokens_of_a_second_are_no_obstacle(azure: Acr, as_identity: AsIdentity) -> None:
    azure.access_lifetime = 1
    registry = as_identity(PUSHER)
    registry.attach("capsule", b"{}")
    token = azure.tokens[-1]
    wait_until(lambda: not azure.is_alive(token), "the token lives on")
    assert registry.attached("capsule") == b"{}"


def push(registry: Registry) -> None:
    registry.attach("capsule", b"{}")


def pull(registry: Registry) -> None:
    registry.manifest("capsule.model")


def delete(registry: Registry) -> None:
    registry.delete(registry.digest("capsule.model"))


@pytest.mark.parametrize(
    ("who", "request_", "message"),
    [
        (READER, push, 'let these credentials push .* only pull.* AcrPush, or by .*Repository Writer"'),
        (PUSHER, delete, 'let these credentials delete .* AcrDelete, or by .*Repository Contributor"'),
        (DELETER, pull, 'not let these credentials read .* AcrPull, or by .*Repository Reader"'),
    ],
)
def test_a_missing_role_is_named(
    as_identity: AsIdentity, who: str, request_: Callable[[Registry], None], message: str
) -> None:
    push(as_identity(PUSHER))
    with pytest.raises(CredentialsRefused, match=message):
        request_(as_identity(who))


def test_an_identity_for_another_repository_learns_that_this_one_is_not_its(
    azure: Acr, as_identity: AsIdentity
) -> None:
    azure.repository_roles = {PUSHER: {("Container Registry Repository Writer", "another/*")}}
    with pytest.raises(CredentialsRefused, match=r"not let these credentials read .*\[registry\] repository"):
        push(as_identity(PUSHER))
    azure.repository_roles = {PUSHER: {("Container Registry Repository Writer", "team/*")}}
    push(as_identity(PUSHER))


def test_an_identity_without_any_role_is_refused_and_learns_what_it_needs(as_identity: AsIdentity) -> None:
    with pytest.raises(CredentialsRefused, match=r"\[azure\] names .*give it a role there"):
        push(as_identity(STRANGER))


def test_a_dead_token_is_distinguished_from_a_missing_role(azure: Acr, as_identity: AsIdentity) -> None:
    registry = as_identity(PUSHER)
    push(registry)
    azure.revoke()
    with pytest.raises(CredentialsRefused, match="refuses the credentials it was given"):
        push(registry)


def test_a_firewall_is_distinguished_from_a_missing_role(azure: Acr, as_identity: AsIdentity) -> None:
    registry = as_identity(PUSHER)
    azure.firewall = True
    with pytest.raises(PermanentError, match=r"firewall of .*192\.0\.2\.7"):
        push(registry)


def test_a_firewall_is_no_answer_about_rights(azure: Acr, as_identity: AsIdentity) -> None:
    assert as_identity(PUSHER).may_push()
    assert as_identity(READER).may_pull()
    assert not as_identity(READER).may_push()
    azure.firewall = True
    for ask in (as_identity(PUSHER).may_push, as_identity(PUSHER).may_pull):
        with pytest.raises(PermanentError, match="The firewall of"):
            ask()


def test_a_locked_tag_is_distinguished_from_a_registry_that_deletes_nothing(
    azure: Acr, as_identity: AsIdentity, repository: str
) -> None:
    azure.locked.add((repository, "capsule.model"))
    with pytest.raises(PermanentError, match=r"it is locked.* --write-enabled true"):
        push(as_identity(PUSHER))


def test_a_throttled_exchange_is_tried_again_after_the_pause_that_it_asks_for(
    azure: Acr, as_identity: AsIdentity
) -> None:
    registry = as_identity(PUSHER)
    azure.throttled = [0, 17]  # the request without credentials, the exchange
    for pause in (0, 17):
        with pytest.raises(RegistryUnavailable, match="answered 429") as throttled:
            push(registry)
        assert throttled.value.retry_after == pause
    push(registry)


def test_a_registry_that_anyone_may_pull_from_is_pushed_to_by_those_with_the_role(
    azure: Acr, as_identity: AsIdentity
) -> None:
    azure.anonymous_pull = True
    push(as_identity(PUSHER))
    stranger = replace(as_identity(PUSHER), login=anonymous)
    pull(stranger)
    with pytest.raises(CredentialsRefused, match="needs a login for this request, and there is none"):
        push(stranger)
    with pytest.raises(CredentialsRefused, match="AcrPush"):
        push(as_identity(READER))


def test_a_manifest_that_is_not_there_is_no_missing_role(as_identity: AsIdentity) -> None:
    with pytest.raises(ImageNotFound, match=r"holds no .*:capsule"):
        pull(as_identity(READER))


def test_a_server_that_is_no_registry_of_azures_is_named(directory: Entra) -> None:
    elsewhere = directory.url.removeprefix("https://")
    login = azure_login(elsewhere, lambda: directory.identity(PUSHER))
    with pytest.raises(PermanentError, match=r"is that of an Azure Container Registry"):
        login()


def test_no_token_is_in_an_error(azure: Acr, as_identity: AsIdentity) -> None:
    registry = as_identity(PUSHER)
    push(registry)
    azure.revoke()
    with pytest.raises(CredentialsRefused) as refused:
        push(registry)
    shown = f"{refused.value!r}{refused.value}{refused.value.details}{registry!r}{registry.login()!r}"
    assert not [token for token in azure.tokens if token in shown]
    known = registry.login()
    assert known
    assert known.password not in shown


@contextmanager
def image(engine: ContainerEngine, tag: str, folder: Path, ballast: int) -> Iterator[None]:
    """An image of two layers of so many bytes, until the block ends."""
    for layer in ("one", "two"):
        (folder / layer).write_bytes(random.randbytes(ballast))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY one /\nCOPY two /\n")
    engine.build(Build(folder, "Dockerfile", tag), silent)
    try:
        yield
    finally:
        engine.untag(tag)


@pytest.fixture
def engine(azure: Acr, directory: Entra) -> ContainerEngine:
    login = azure_login(azure.address, lambda: directory.identity(PUSHER))
    return ContainerEngine(None, uuid.uuid4().hex, login)


@pytest.mark.parametrize("anonymous_pull", [False, True])
def test_the_engine_pushes_as_the_identity(
    azure: Acr,
    engine: ContainerEngine,
    as_identity: AsIdentity,
    tmp_path: Path,
    anonymous_pull: bool,
) -> None:
    azure.anonymous_pull = anonymous_pull
    registry = as_identity(PUSHER)
    with image(engine, f"{registry.name}:1", tmp_path, 1000):
        digest = engine.push(f"{registry.name}:1", silent)
    assert registry.digest("1") == digest


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda azure, _: setattr(azure, "firewall", True), PermanentError, "The firewall of"),
        (lambda azure, name: azure.locked.add((name, "1")), PermanentError, "it is locked"),
        (lambda azure, _: azure.roles.update({PUSHER: {"AcrPull"}}), CredentialsRefused, "AcrPush"),
        (lambda azure, _: azure.revoke(), CredentialsRefused, "refuses"),
    ],
    ids=["firewall", "locked", "no role", "token dead"],
)
def test_what_refuses_the_engine_is_reported(
    azure: Acr,
    engine: ContainerEngine,
    repository: str,
    tmp_path: Path,
    change: Callable[[Acr, str], object],
    kind: type[SlipwayError],
    message: str,
) -> None:
    tag = f"{azure.address}/{repository}:1"
    engine.login()
    with image(engine, tag, tmp_path, 1000):
        change(azure, repository)
        with pytest.raises(kind, match=message):
            engine.push(tag, silent)


@pytest.mark.slow
def test_a_push_outlives_the_tokens_that_docker_gets_for_it(
    azure: Acr, engine: ContainerEngine, as_identity: AsIdentity, tmp_path: Path
) -> None:
    """Docker asks for another after a minute, with the same password: a token of 65 s is the shortest that it
    gets along with."""
    azure.access_lifetime, azure.upload_speed = 65, 100_000
    registry, asked = as_identity(PUSHER), len(azure.exchanges)
    with image(engine, f"{registry.name}:1", tmp_path, 8_000_000):
        given = len(azure.tokens)
        digest = engine.push(f"{registry.name}:1", silent)
    assert not azure.is_alive(azure.tokens[given])
    assert azure.exchanges[asked:] == [PUSHER]
    assert registry.digest("1") == digest
