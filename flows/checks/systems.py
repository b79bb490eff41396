"""Repository, registry, stores and engine, as a run uses them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import uuid4

from obstore.store import LocalStore

from flows.checks.check import Check, CheckFailed, CheckWarning
from flows.checks.prefect_server import block_row
from flows.checks.reaching import ClockOffsets, answers, route
from flows.config.on_prefect import blocks_by_key
from flows.config.schema import RepositoryAccess, Store
from flows.core.build.image import parse
from flows.core.errors import ModelNotFound
from flows.credentials import prefect_blocks
from flows.services.git.repository import Repository
from flows.services.images.container_engine import ContainerEngine
from flows.services.images.docker_errors import translated_engine_errors
from flows.services.models.blob_store import BlobStore
from flows.services.registry.auth import always
from flows.services.registry.azure_login import rights
from flows.services.registry.client import Registry, resolve_base
from flows.stages.context import RunContext

PROBE = "slipway-doctor"
"""Folder of the object that is written to a store and removed again."""

GIT_ANSWERS_WITHIN = 10
"""Seconds."""

AZURE = "Azure: signed in"
ENTRA = "Azure: Entra ID reached"
REGISTRY, REGISTRY_LOGIN, REGISTRY_PUSH, REGISTRY_PULL = (
    "registry: reached",
    "registry: signed in",
    "registry: push",
    "registry: pull of the nodes",
)
STORE, STORE_READ, STORE_WRITE = "model store: reached", "model store: read", "model store: write"
_SIGN_IN = {
    None: "Correct user and password in the block that [registry] credentials names, or its rights.",
    "azure": "Give the identity of [azure] the role AcrPush on the registry.",
    "aws": "Give this machine's AWS identity a policy such as AmazonEC2ContainerRegistryPowerUser.",
    "docker": "Sign in on this machine with `docker login`, as the user of the worker.",
}
"""What to do where the registry lets us read nothing, by `[registry] login`."""

RESULTS = "results storage: write"
REPOSITORY, MANIFESTS = "repository", "repository of the manifests"
BASE, ENGINE = "base image", "container engine"


@dataclass
class SystemChecks:
    """With the clients of `run`."""

    run: RunContext
    offsets: ClockOffsets

    def all(self) -> Iterator[Check]:
        """Each system reached first, then what is done there."""
        yield from self._azure()
        yield from self._repositories()
        yield from self._registry()
        yield from self._stores()
        base = self.run.settings.app.base_image
        if "@" not in base:
            yield Check(BASE, f"asked for the digest of {base}", self._base)
        yield Check(
            ENGINE,
            "asked for its version",
            self._engine,
            self._blocks("[engine] credentials"),
        )

    def _blocks(self, *keys: str) -> tuple[str, ...]:
        """The rows of the blocks that slipway.toml names at these keys."""
        named = blocks_by_key(self.run.settings)
        return tuple(block_row(named[key]) for key in keys if key in named)

    def _login_of(self, table: str, access: RepositoryAccess) -> tuple[str, ...]:
        """The rows that a look at the repository of that table needs."""
        ways = ("credentials", "deploy_key", "github_app")
        identity = (AZURE,) if access.login else ()
        return (*self._blocks(*(f"[{table}] {way}" for way in ways)), *identity)

    def _azure(self) -> Iterator[Check]:
        azure = self.run.settings.azure
        if azure.identity is None:
            return
        yield Check(ENTRA, "asked its address", self._entra)
        needs = (*self._blocks("[azure] credentials"), *((ENTRA,) if azure.identity != "managed" else ()))
        yield Check(AZURE, "asked for a token for Azure Resource Manager", self._token, needs)

    def _entra(self) -> str:
        return answers(self.run.azure.cloud.authority, "Entra ID", self.offsets)

    def _token(self) -> str:
        identity = self.run.azure
        identity.token(identity.cloud.resource_manager_scope)
        who = f", client {identity.client_id}" if identity.client_id else ""
        where = f", directory {identity.tenant}" if identity.tenant else ""
        return f"Entra ID gives a token to the identity {identity.kind}{who}{where}."

    def _repositories(self) -> Iterator[Check]:
        settings = self.run.settings
        source, manifests = settings.source, settings.manifests
        tried, branch = "listed its branches (git ls-remote)", source.released_branch
        yield Check(
            REPOSITORY,
            tried,
            lambda: self._branches(self.run.repository, branch),
            self._login_of("source", source),
        )
        if manifests.repository not in {None, source.repository} or manifests.has_login:
            yield Check(
                MANIFESTS,
                tried,
                lambda: self._branches(self.run.manifests_repository),
                self._login_of("manifests", manifests),
            )

    def _branches(self, repository: Repository, wanted: str | None = None) -> str:
        """The sentence of a repository that shows its branches, `wanted` among them."""
        heads = replace(repository, cache=self.run.workspace, timeout=GIT_ANSWERS_WITHIN).heads()
        by = f", {route(repository.url)}" if repository.url.startswith("http") else ""
        seen = f"{repository.url} shows {len(heads)} {'branch' if len(heads) == 1 else 'branches'}"
        if wanted is None:
            return f"{seen}{by}."
        if wanted not in heads:
            raise CheckFailed(
                f"{repository.url} has no branch {wanted}.", "Push it, or correct [source] released_branch."
            )
        return f"{seen}, {wanted} at {heads[wanted][:12]}{by}."

    def _registry(self) -> Iterator[Check]:
        wanted = self.run.settings.registry
        identity = (AZURE,) if wanted.login == "azure" else ()
        needs = (REGISTRY, *identity, *self._blocks("[registry] credentials"))
        yield Check(REGISTRY, "asked its address", self._registry_reached)
        yield Check(REGISTRY_LOGIN, f"asked for `latest` of {wanted.repository}", self._registry_login, needs)
        tried = f"began an upload to {wanted.repository}, and gave it up"
        if wanted.login == "azure":
            tried = f"asked for a token for {wanted.repository}, and read which rights it names"
        yield Check(REGISTRY_PUSH, tried, self._push, (REGISTRY_LOGIN,))
        if wanted.pull_credentials:
            needs = (REGISTRY, *self._blocks("[registry] pull_credentials"))
            tried = f"asked for `latest` of {wanted.repository} with the login of [registry] pull_credentials"
            yield Check(REGISTRY_PULL, tried, self._nodes_pull, needs)

    def _registry_reached(self) -> str:
        wanted = self.run.settings.registry
        scheme = "http" if wanted.insecure else "https"
        return answers(f"{scheme}://{wanted.address}/v2/", "the registry", self.offsets)

    def _registry_login(self) -> str:
        wanted, registry = self.run.settings.registry, self.run.registry
        if not registry.may_pull():
            raise CheckFailed(
                f"{wanted.address} does not let {self._who(registry)} read {wanted.repository}.",
                _SIGN_IN[wanted.login],
            )
        return f"{wanted.address} lets {self._who(registry)} read {wanted.repository}."

    def _who(self, registry: Registry) -> str:
        match self.run.settings.registry.login:
            case "azure":
                return "the identity of [azure]"
            case "aws":
                return "the AWS identity of this machine"
            case _:
                return _user(registry)

    def _push(self) -> str:
        registry = self.run.registry
        if self.run.settings.registry.login == "azure":
            is_allowed = "push" in rights(registry.address, registry.repository, registry.login)
        else:
            is_allowed = registry.may_push()
        if not is_allowed:
            raise CheckFailed(
                f"{registry.address} does not let {self._who(registry)} push to {registry.repository}.",
                "Give that login the right to push; on Azure Container Registry, the role AcrPush.",
            )
        return f"{registry.address} lets {self._who(registry)} push to {registry.repository}."

    def _nodes_pull(self) -> str:
        wanted = self.run.settings.registry
        login = prefect_blocks.pull_credentials(wanted)
        assert login is not None, "the settings name a block"
        place = wanted.pull_address or wanted.address
        registry = Registry(place, wanted.repository, always(login), wanted.insecure)
        if not registry.may_pull():
            raise CheckFailed(
                f"The registry {place} does not let {_user(registry)} pull from {wanted.repository}.",
                "Correct the block that [registry] pull_credentials names; then let an administrator run: "
                "python -m deployments.cluster.bootstrap",
            )
        return f"{place} lets {_user(registry)} pull from {wanted.repository}."

    def _stores(self) -> Iterator[Check]:
        model, results = self.run.settings.model, self.run.settings.results
        yield Check(STORE, "asked its address", self._store_reached, self._login_of_store("model", model))
        yield Check(STORE_READ, f"read the pointer of {model.name}", self._store_read, (STORE,))
        tried = f"wrote an object below {PROBE}/, and removed it"
        yield Check(STORE_WRITE, tried, lambda: _written(self._blobs), (STORE_READ,))
        if results.storage or results.store:
            yield Check(RESULTS, tried, self._results, self._login_of_store("results", results))

    def _login_of_store(self, table: str, store: Store) -> tuple[str, ...]:
        """The rows that a look at the store of that table needs."""
        needs = self._blocks(f"[{table}] credentials", f"[{table}] storage")
        is_ours = store.address is not None and store.address.kind == "az" and store.block is None
        return (*needs, AZURE) if is_ours and self.run.settings.azure.identity else needs

    @cached_property
    def _blobs(self) -> BlobStore:
        return self.run.models.blobs

    def _store_reached(self) -> str:
        blobs = self._blobs
        if (address := _address(blobs)) is None:
            return f"The {blobs.place} is on this machine."
        return answers(address, "the model store", self.offsets)

    def _store_read(self) -> str:
        self._blobs.list_root()  # which a missing container refuses
        try:
            found = self.run.models.peek(self.run.settings.model.name)
        except ModelNotFound as none_yet:
            raise CheckWarning(none_yet.happened, none_yet.remedy) from none_yet
        return f"The next image gets {found.name} {found.version}."

    def _results(self) -> str:
        return _written(self.run.passed_tests.blobs)

    def _base(self) -> str:
        name = parse(self.run.settings.app.base_image)
        ours = name.address == self.run.settings.registry.address
        holder = self.run.registry if ours else Registry(name.address, name.repository)
        return f"{name} has the digest {resolve_base(name, holder).reference[:19]}."

    def _engine(self) -> str:
        url = self.run.credentials.engine_url(self.run.settings.engine)
        client = ContainerEngine(url, self.run.id).client
        with translated_engine_errors():
            version = client.version()["Version"]
        return f"{url or 'The engine of this machine'} answers as version {version}."


def _written(blobs: BlobStore) -> str:
    path = f"{PROBE}/{uuid4().hex}"
    try:
        blobs.replace(path, b"written by slipway doctor")
    finally:
        blobs.remove(path)
    return f"An object was written to {blobs.place}, and removed."


def _address(blobs: BlobStore) -> str | None:
    """Where the container is, from what its client was opened with, which holds secrets too; None: here."""
    if isinstance(blobs.objects, LocalStore):
        return None
    config: dict[str, Any] = dict(getattr(blobs.objects, "config", {}))
    if endpoint := config.get("endpoint"):
        return str(endpoint)
    return f"https://s3.{config.get('region', 'us-east-1')}.amazonaws.com"


def _user(registry: Registry) -> str:
    credentials = registry.login()
    return credentials.username if credentials else "a user without a login"
