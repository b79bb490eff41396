"""Everything that can go wrong, by whose move it is and whether waiting may help.

Each error carries one sentence that says what happened and one that says what to do next, so that a person
who sees only that line can act. Tasks retry a `TransientError` and nothing else.
"""

from collections.abc import Sequence
from typing import Literal

Fault = Literal["image", "configuration", "infrastructure"]
"""What has to change: the image, the manifests (limits, quotas, secrets, policies), or what it runs on."""


class SlipwayError(Exception):
    """Something went wrong that a person can act on; `str()` gives what happened, then what to do.

    `details` explain it at length, as last log lines do, in the run's log and report. `fault` says what is to
    blame when a release fails by it.
    """

    fault: Fault = "infrastructure"

    def __init__(self, happened: str, remedy: str = "", *, details: str = "") -> None:
        self.happened = happened
        self.remedy = remedy
        self.details = details
        super().__init__(happened, remedy)

    def __str__(self) -> str:
        return f"{self.happened} {self.remedy}".strip()


class TransientError(SlipwayError):
    """It may pass by itself: a connection lost, a 429, a 5xx. The only kind that is retried."""


class PermanentError(SlipwayError):
    """It stays as it is until somebody changes something. Never retried."""


class SettingsError(PermanentError):
    """slipway.toml, a SLIPWAY_* variable or a Prefect block is missing or wrong."""


class ClaimedByAnother(TransientError):
    """Another run holds what only one may have at a time."""


class RunEnded(PermanentError):
    """The run that asked is over, as after a cancel; what it still waited for was given up."""


class CredentialsRefused(PermanentError):
    """An outside system does not accept who we say we are."""


# source


class SourceUnavailable(TransientError):
    """The git remote could not be reached, or broke off."""


class RefNotFound(PermanentError):
    """The remote has no such branch, tag or commit."""


class CommitNotThere(TransientError):
    """The remote has not got a commit yet that was announced, as a mirror that lags behind."""


class StatusNotTaken(TransientError):
    """The commit's host did not take the news of how its run goes; nothing depends on that."""


# triggers


class PrefectUnavailable(TransientError):
    """Prefect's server could not be reached, or was too busy to answer."""


# models


class StoreUnavailable(TransientError):
    """The blob store could not be reached, or a download was cut off."""


class ModelNotFound(PermanentError):
    """The store holds no such model or version."""


class DigestMismatch(PermanentError):
    """What arrived is not what its digest promises."""


class ModelRejected(PermanentError):
    """The model can't be served as it is: it does not load, its manifest is incomplete or contradicts it."""


class VersionTaken(PermanentError):
    """The version is published already, with other content."""


# images and the registry


class EngineUnavailable(TransientError):
    """The container engine does not answer."""


class BuildFailed(PermanentError):
    """The image could not be built."""


class TrialFailed(PermanentError):
    """The container did not start, answer or stop as it must."""


class RegistryUnavailable(TransientError):
    """The registry could not be reached, or broke off."""


class ImageNotFound(PermanentError):
    """The registry holds no such image."""


# clusters and releases


class ClusterUnavailable(TransientError):
    """The Kubernetes API server could not be reached."""


class ClusterNotPrepared(PermanentError):
    """The cluster lacks what an administrator creates once: the namespace, its rights, its secrets."""


class ChangedMeanwhile(TransientError):
    """An object in the cluster is no longer as it was read, or somebody else created it first."""


class FenceLost(PermanentError):
    """Another run has taken the environment over; nothing of what this one still writes is let in."""


class LockedByAnother(PermanentError):
    """Another run has had the environment for longer than this one waits."""


class RecordTaken(PermanentError):
    """A record of that number is there already, of another release."""


class RecordUnreadable(PermanentError):
    """A stored release record is damaged, or a newer Slipway wrote it."""


class ManifestsRejected(PermanentError):
    """The manifests don't render, or the API server does not accept them."""

    fault = "configuration"


class RolloutFailed(PermanentError):
    """The new replicas did not become ready; `fault` says what has to change."""

    def __init__(
        self, happened: str, remedy: str = "", *, details: str = "", fault: Fault = "infrastructure"
    ) -> None:
        super().__init__(happened, remedy, details=details)
        self.fault = fault


class ResolverUnavailable(TransientError):
    """The DNS server that the public URL is looked up at did not answer, or could not find out."""


class EdgeNotInOrder(PermanentError):
    """DNS, load balancer or certificate of the public URL are not as users need them: no image's fault."""


class ProofFailed(PermanentError):
    """Asked from outside, the release did not answer as it must.

    `fault` says whose: the image's, or the infrastructure's where no replica was reached. `pod` is the
    replica that answered wrong, "" where none answered at all.
    """

    def __init__(
        self,
        happened: str,
        remedy: str = "",
        *,
        details: str = "",
        fault: Fault = "image",
        pod: str = "",
    ) -> None:
        super().__init__(happened, remedy, details=details)
        self.fault = fault
        self.pod = pod


class ReleaseRefused(PermanentError):
    """What was asked for can't be done as it was asked."""


class ReleaseUndone(PermanentError):
    """A release failed; what was in force before is in force again, and proven."""


class UndoFailed(PermanentError):
    """A release failed, and so did undoing it: a person has to look."""


class NightlyMissing(PermanentError):
    """A night has no outcome by the time at which it should have one."""


# the embedded platform


class PlatformFailed(PermanentError):
    """A part of the embedded platform could not be built, or did not come up."""


# programs


class CommandFailed(PermanentError):
    """A program ended with an exit status that says it failed, or `timed_out`; `details`: its last lines."""

    def __init__(
        self, happened: str, remedy: str = "", *, details: str = "", status: int, timed_out: bool = False
    ) -> None:
        super().__init__(happened, remedy, details=details)
        self.status = status
        self.timed_out = timed_out


def combined(failures: Sequence[SlipwayError]) -> SlipwayError:
    """One error that tells of several, as the first of them; the first alone where there is one."""
    first = failures[0]
    if len(failures) == 1:
        return first
    return PermanentError(
        " ".join(str(failure) for failure in failures), details="\n\n".join(f.details for f in failures)
    )
