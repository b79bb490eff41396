"""What a webhook asks for: the delivery of a push becomes a commit to build, or a reason not to build.

Payloads are untrusted: whatever they hold, the answer is one of these values and no exception.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from flows.core.build.image import Reference
from flows.core.trigger.attempts import Tries
from flows.core.trigger.branch_name import is_branch_name

BRANCH, NOTHING = "refs/heads/", "0" * 40

Sha = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]
Text = Annotated[str, Field(min_length=1, max_length=1000)]


@dataclass(frozen=True)
class Wanted:
    """The newest commit of a branch, to be built; `before` was the branch's head, "" if unknown.

    `base` is the base image by digest where a new one is the reason; any other run looks it up.
    """

    repository: str
    branch: str
    sha: str
    before: str = ""
    base: Reference | None = None


@dataclass(frozen=True)
class Ignored:
    """Nothing is to be done, and nothing is wrong."""

    reason: str


@dataclass(frozen=True)
class Foreign:
    """It comes from a repository that is not ours."""

    reason: str


@dataclass(frozen=True)
class Invalid:
    """It is not what the provider sends."""

    reason: str


TriggerDecision = Wanted | Ignored | Foreign | Invalid


@dataclass(frozen=True)
class Rules:
    """What is built: `repository` as `identify` gives it, patterns of branches, the released one always."""

    repository: str
    branches: tuple[str, ...]
    released_branch: str

    def builds(self, branch: str) -> bool:
        """Whether commits of the branch are built."""
        return branch == self.released_branch or any(fnmatchcase(branch, one) for one in self.branches)


def identify(url: str) -> str:
    """The same text for every way to write a repository's URL: host and path in small letters."""
    if "://" not in url and "@" in url.partition(":")[0]:
        url = "ssh://" + url.replace(":", "/", 1)  # git@host:path, as git's scp-like syntax has it
    try:
        parts = urlsplit(url)
    except ValueError:  # https://[github.com/acme/app: not a URL
        return url
    if not parts.hostname:
        return url
    host, path = parts.hostname, parts.path.strip("/").removesuffix(".git")
    if host == "ssh.github.com":  # GitHub's SSH at port 443
        host = "github.com"
    if host == "dev.azure.com" or host.endswith((".dev.azure.com", ".visualstudio.com")):
        host, path = _azure_repos(host, path)
    return f"{host}/{path}".lower()


def _azure_repos(host: str, path: str) -> tuple[str, str]:
    """Host and path as dev.azure.com/organization/project/_git/repository, which has several older forms."""
    parts = path.split("/")
    if host in {"ssh.dev.azure.com", "vs-ssh.visualstudio.com"} and len(parts) == 4:  # after v3
        _, organization, project, name = parts
        return "dev.azure.com", f"{organization}/{project}/_git/{name}"
    if host.endswith(".visualstudio.com"):
        kept = parts[1:] if parts[0].lower() == "defaultcollection" else parts
        parts = [host.partition(".")[0], *kept]
    if len(parts) == 3 and parts[1] == "_git":  # a project's repository of the same name
        parts.insert(1, parts[2])
    return "dev.azure.com", "/".join(parts)


def key(wanted: Wanted, model: str, tries: Tries, again: str = "") -> str:
    """The idempotency key of a run: receiver and poller give the same build the same key, and Prefect makes
    one run of it.

    `model` is the `token` of a `ModelVersionSeen`. `tries` are the runs before it that ended without a
    result. `again` is why one more run is needed although one has ended.
    """
    base = (f"base-{wanted.base.reference}",) if wanted.base else ()
    reason = (again,) if again else ()
    return ":".join((wanted.repository, wanted.branch, wanted.sha, model, *base, *reason, tries.number))


class _GitHubRepository(BaseModel):
    clone_url: Text


class _GitHubEvent(BaseModel):
    repository: _GitHubRepository | None = None


class _GitHubPush(BaseModel):
    ref: Text
    before: Sha
    after: Sha
    repository: _GitHubRepository


def github(event: str, payload: Any, rules: Rules) -> TriggerDecision:
    """What a delivery of GitHub asks for; `event` is its X-GitHub-Event."""
    try:
        about = _GitHubEvent.model_validate(payload).repository
        if about is not None and identify(about.clone_url) != rules.repository:
            return _foreign(about.clone_url)
        if event == "ping":
            return Ignored("ping: deliveries arrive here")
        if event != "push":
            return Ignored(f"event {event[:40]!r} builds nothing")
        push = _GitHubPush.model_validate(payload)
    except ValidationError as error:
        return _invalid(error)
    return _update(push.ref, push.before, push.after, rules)


class _AzureRepository(BaseModel):
    remoteUrl: Text  # noqa: N815  # Azure DevOps' name


class _AzureUpdate(BaseModel):
    name: Text
    oldObjectId: Sha  # noqa: N815  # likewise
    newObjectId: Sha  # noqa: N815  # likewise


class _AzureResource(BaseModel):
    refUpdates: list[_AzureUpdate] = Field(min_length=1, max_length=100)  # noqa: N815  # likewise
    repository: _AzureRepository


class _AzureEvent(BaseModel):
    eventType: Text  # noqa: N815  # likewise


class _AzurePush(BaseModel):
    resource: _AzureResource


def azure_devops(payload: Any, rules: Rules) -> Sequence[TriggerDecision]:
    """What a service hook of Azure DevOps asks for; one push may update several branches."""
    try:
        event = _AzureEvent.model_validate(payload).eventType
        if event != "git.push":
            return [Ignored(f"event {event[:40]!r} builds nothing")]
        push = _AzurePush.model_validate(payload).resource
    except ValidationError as error:
        return [_invalid(error)]
    if identify(push.repository.remoteUrl) != rules.repository:
        return [_foreign(push.repository.remoteUrl)]
    return [_update(one.name, one.oldObjectId, one.newObjectId, rules) for one in push.refUpdates]


def _update(ref: str, before: str, after: str, rules: Rules) -> TriggerDecision:
    if not ref.startswith(BRANCH):
        return Ignored(f"{ref} is no branch")
    branch = ref.removeprefix(BRANCH)
    if not is_branch_name(branch):
        return Invalid(f"{ref[:80]!r} is no name that git gives a branch")
    if after == NOTHING:
        return Ignored(f"branch {branch} was deleted")
    if not rules.builds(branch):
        return Ignored(f"branch {branch} is not built: no pattern of [source] branches matches it")
    return Wanted(rules.repository, branch, after, "" if before == NOTHING else before)


def _foreign(url: str) -> Foreign:
    return Foreign(
        f"{identify(url)} is not the repository that is built here; set [hooks] repository to the one whose "
        "deliveries count"
    )


def _invalid(error: ValidationError) -> Invalid:
    wrong = error.errors(include_input=False, include_url=False)[0]
    return Invalid(f"{'.'.join(map(str, wrong['loc'])) or 'the payload'}: {wrong['msg']}")
