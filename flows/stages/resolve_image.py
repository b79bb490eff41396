"""The stages that find out what would be released: the image, and the manifests for it."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from flows.core.build.capsule import CODE_HALF, MODEL_HALF, Capsule
from flows.core.build.content import BuildContent, ModelVersion
from flows.core.build.image import reference_of
from flows.core.build.latest import BASE_DIGEST, UNKNOWN_TIME
from flows.core.build.trust import Trust
from flows.core.errors import ImageNotFound, ManifestsRejected
from flows.core.release import record as records
from flows.core.release.decision import Candidate, Request, upstream_release
from flows.core.release.manifests_source import ManifestsSource
from flows.core.untrusted import Instant
from flows.services.git.repository import Repository
from flows.services.kubernetes import manifests
from flows.services.kubernetes.manifests import KubernetesManifests
from flows.services.process.temporary import temporary_folder
from flows.stages.context import RunContext

CAPSULE = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Plan:
    """A requested release: the request, the image, and the rendered manifests."""

    request: Request
    candidate: Candidate
    manifests: KubernetesManifests

    @property
    def environment(self) -> str:
        """The environment to which the image is released."""
        return self.request.environment


def resolve_image(run: RunContext, request: Request) -> Candidate | None:
    """The image to release: the requested one, else what is promoted to the environment; else None."""
    if request.image is None:
        return find_promotable(run, request.environment)
    candidate = find_candidate(run, request.image)
    if may_be_released(run, request.environment, candidate.content.commit):
        return candidate
    return replace(candidate, lacking_branch=run.settings.source.released_branch)


def may_be_released(run: RunContext, environment: str, commit: str) -> bool:
    """Whether the environment takes that commit: any, or only one that is on the released branch.

    The repository is fetched only where the mirror does not know yet that the commit is there.
    """
    if run.settings.environment(environment).takes_other_branches:
        return True
    branch, repository = run.settings.source.released_branch, run.repository
    if repository.is_on_branch(commit, branch):
        return True
    repository.fetch(run.say)
    return repository.is_on_branch(commit, branch)


def find_candidate(run: RunContext, wanted: str) -> Candidate:
    """The image that `latest`, a tag, a capsule or a digest names now, by its digest."""
    reference = _tag_of(run, reference_of(wanted))
    pointer = run.registry.pointer(reference)
    image = run.registry.image(pointer.digest if pointer else reference)
    labels = run.registry.labels(image)
    capsule = labels.get("org.opencontainers.image.version", "")
    if not CAPSULE.fullmatch(capsule):
        raise ImageNotFound(
            f"{image} was not built by this pipeline: it carries no capsule.",
            "Release one that a CI run pushed.",
        )
    manifest = run.model_manifest(image, capsule)
    commit = labels.get("org.opencontainers.image.revision", "")
    committed = _time(labels.get("org.opencontainers.image.created", ""))
    base_digest = labels.get(BASE_DIGEST, "")
    if pointer is not None:  # it names the commit: after a revert, the image may be of an older one
        commit = pointer.content.commit
        if pointer.content.committed != UNKNOWN_TIME:
            committed = pointer.content.committed
        base_digest = pointer.content.base_digest
    model = ModelVersion(
        name=labels.get("dev.slipway.model", ""),
        version=labels.get("dev.slipway.model.version", ""),
        digest=labels.get("dev.slipway.model.digest", ""),
    )
    candidate = Candidate(
        image=image,
        content=BuildContent(
            commit,
            model,
            committed,
            capsule,
            base_digest=base_digest,
            code_half=labels.get(CODE_HALF, ""),
            model_half=labels.get(MODEL_HALF, ""),
        ),
        model_created=datetime.fromisoformat(manifest.created),
        manifest=manifest,
        forced=pointer.forced if pointer else "",
    )
    run.say(f"{wanted} is {candidate}: {image}.")
    return candidate


def _tag_of(run: RunContext, reference: str) -> str:
    """The tag of a capsule's image: of the released branch, else of another; other references unchanged."""
    if not CAPSULE.fullmatch(reference):
        return reference
    tags = [Capsule(reference).tag_for(trust) for trust in Trust]
    return next((tag for tag in tags if run.registry.find(tag)), reference)


def _time(text: str) -> datetime:
    try:
        return _instants.validate_strings(text)
    except ValidationError:
        return UNKNOWN_TIME


_instants = TypeAdapter[datetime](Instant)


def find_promotable(run: RunContext, environment: str) -> Candidate | None:
    """The newest image that is good, and baked, in the environment to promote from; None if there is none.

    Its commit is the one for which it was released there.
    """
    wanted = run.settings.environment(environment)
    if wanted.promotes_from is None:
        return None
    history = run.releases(wanted.promotes_from).history()
    found = records.promotable(
        history,
        wanted.bake,
        datetime.now(UTC),
        lambda release: may_be_released(run, environment, release.content.commit),
    )
    if found is None:
        return None
    return find_candidate(run, found.image.digest).promoted(found)


def resolve_manifests(run: RunContext, request: Request, candidate: Candidate) -> Candidate:
    """The candidate with the source of its manifests, which the mirror then has.

    An environment that promotes takes exactly the manifests with which the image was released above it. Other
    environments, and an image that was never released above, take what `[manifests] ref` names now.
    """
    source = candidate.source or _source_upstream(run, request, candidate)
    if source is None:
        source = newest_manifests(run, run.manifests_repository)
    else:
        _have_at_hand(run, source)
    run.say(f"The manifests are {source}, in {source.repository}.")
    return replace(candidate, source=source)


def _source_upstream(run: RunContext, request: Request, candidate: Candidate) -> ManifestsSource | None:
    """The manifests with which the image was released in the environment that this one promotes from."""
    upstream = run.settings.environment(request.environment).promotes_from
    if upstream is None:
        return None
    found = upstream_release(candidate, tuple(run.releases(upstream).history()))
    return found.source if found else None


def newest_manifests(run: RunContext, repository: Repository) -> ManifestsSource:
    """The folder in the commit that `[manifests] ref` names now; raises as `fetch` and `resolve`, and
    `ManifestsRejected` where the commit has no such folder."""
    wanted = run.settings.manifests
    branch = run.settings.source.released_branch
    folder = str(wanted.path or run.settings.app.manifests)
    repository.fetch(run.say)
    commit = repository.resolve(wanted.ref or branch, branch)
    tree = repository.folder_tree(commit.sha, folder)
    if tree is None:
        raise ManifestsRejected(
            f"Commit {commit.sha[:7]} of {repository.url} has no manifests' folder {folder!r}.",
            "Commit the manifests there, or name their place in the table [manifests] of slipway.toml.",
        )
    return ManifestsSource(repository.url, commit.sha, folder, tree)


def _have_at_hand(run: RunContext, source: ManifestsSource) -> None:
    """Fetch only if the mirror lacks the folder, so that a promotion works while the git server is away."""
    repository = run.manifests_repository
    if not repository.has_tree(source.tree):
        repository.fetch(run.say)
    if not repository.has_tree(source.tree):
        raise ManifestsRejected(
            f"{repository.url} no longer has the manifests {source}, which were released before.",
            "Release the image again to the environment above, with the manifests that are there now.",
        )


def render_manifests(run: RunContext, request: Request, candidate: Candidate) -> Plan:
    """The environment's Kubernetes objects for this image, from the files of exactly that tree."""
    source, repository = candidate.source, run.manifests_repository
    assert source, "the manifests are resolved before they are rendered"
    with temporary_folder("manifests", run.workspace) as folder:
        repository.lay_out(repository.files_of(source.tree), folder, candidate.content.committed)
        overlay = run.overlay(request.environment, folder)
        rendered = manifests.render(overlay, candidate.image, run.settings.kubectl, origin=str(source))
    run.say(f"Rendered {', '.join(str(o['kind']) for o in rendered.objects)}.")
    return Plan(request, candidate, rendered)
