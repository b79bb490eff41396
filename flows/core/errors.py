"""Everything that can go wrong: the type says who has to act and whether waiting may help.

Each error carries one sentence that says what happened and one that says what to do next, so that a person
who sees only that line can act. Tasks retry a `TransientError` and nothing else.
"""

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from flows.core.text import printable

Fault = Literal["image", "configuration", "infrastructure"]
"""What has to change: the image, the manifests (limits, quotas, secrets, policies), or what it runs on."""

TWO_STOPS = re.compile(r"(?<=[^\s./])\.\.(?=\s|$)")
"""After a sentence that ends with what another system said, with its full stop."""

EndpointFinding = Literal["unresolved", "elsewhere", "refused", "certificate", "unserved"]
"""What is not in order at a public URL: its name has no address, or one that is not the load balancer's; no
connection is accepted; the certificate is wrong; the edge answers, and no replica behind it."""


class SlipwayError(Exception):
    """Something went wrong that a person can act on; `str()` gives what happened, then what to do.

    `remedy` is an imperative; without one it is the `advice` of the error's type. `details` explain the error
    at length, as last log lines do, in the run's log and report. `fault` says what is at fault if a release
    fails.
    """

    fault: Fault = "infrastructure"
    answered_wrong: bool = False
    """Whether the image is at fault whatever the manifests are."""

    advice: ClassVar[str] = "Read the details in the run's report."

    def __init__(self, happened: str, remedy: str = "", *, details: str = "") -> None:
        self.happened = printable(TWO_STOPS.sub(".", happened))
        self.remedy = printable(remedy or self.advice)
        self.details = printable(details)
        super().__init__(self.happened, remedy)

    def __str__(self) -> str:
        return f"{self.happened} {self.remedy}"

    @property
    def docs(self) -> str:
        """Where this type is explained, such as docs/operations.md#registry-unavailable."""
        return f"docs/operations.md#{re.sub(r'(?<!^)(?=[A-Z])', '-', type(self).__name__).lower()}"

    @property
    def with_docs(self) -> str:
        """What happened, what to do, and where to read more: what people see where the error ends."""
        return f"{self} See {self.docs}"


class TransientError(SlipwayError):
    """It may pass by itself: a connection lost, a 429, a 5xx. The only kind that is retried.

    `retry_after` are the seconds for which the system asked to be left alone.
    """

    advice = "Retry the run; if it fails again, check the system that is named."

    def __init__(self, happened: str, remedy: str = "", *, details: str = "", retry_after: float = 0) -> None:
        super().__init__(happened, remedy, details=details)
        self.retry_after = retry_after


class PermanentError(SlipwayError):
    """It stays until a person changes something. Never retried."""

    advice = "Correct what is named, and start the run again."


class SettingsError(PermanentError):
    """slipway.toml, a SLIPWAY_* variable or a Prefect block is missing or wrong."""

    advice = "Correct slipway.toml, the variable or the block."


class ClaimedByAnother(TransientError):
    """Another run holds what only one may have at a time."""

    advice = "Wait for the other run, then start this one again."


class RunEnded(PermanentError):
    """The run that asked is over, as after a cancel; what it still waited for was given up."""

    advice = "Start the run again if its result is still needed."


class CredentialsRefused(PermanentError):
    """An outside system does not accept who we say we are."""

    advice = "Update the credentials in the block."


class IdentityUnavailable(TransientError):
    """What gives tokens for our identity (Entra ID, the machine, `az`) could not be reached, or was busy."""

    advice = "Check the network between this machine and Entra ID."


# source


class SourceUnavailable(TransientError):
    """The git remote could not be reached, or broke off."""

    advice = "Check that the git server runs and that `[source] repository` points to it."


class RefNotFound(PermanentError):
    """The remote has no such branch, tag or commit."""

    advice = "Push it, or name another branch, tag or commit."


class CommitNotThere(TransientError):
    """The remote lacks a commit that was announced, because it is a mirror that lags behind."""

    advice = "Wait: the poller starts CI once the commit has arrived."


class StatusNotTaken(TransientError):
    """The commit's host did not accept the commit status; nothing depends on it."""

    advice = "Check the token of `[source] status_credentials`; the build is not affected."


# triggers


class PrefectUnavailable(TransientError):
    """Prefect's server could not be reached, or was too busy to answer."""

    advice = "Check that the server is running and that PREFECT_API_URL points to it."


# models


class StoreUnavailable(TransientError):
    """The blob store could not be reached, or a download was cut off."""

    advice = "Check that the blob store is running and that the block of `[model] credentials` points to it."


class ObjectReplaced(StoreUnavailable):
    """An object of the store was replaced while it was downloaded."""

    advice = "Publish each model once, under a version of its own."


class ModelNotFound(PermanentError):
    """The store holds no such model or version."""

    advice = "Run `slipway model list`, and name a version that exists."


class DigestMismatch(PermanentError):
    """What arrived is not what its digest promises."""

    advice = "Publish the model again, under a new version."


class ModelRejected(PermanentError):
    """The model can't be served: it does not load, or its manifest is incomplete or contradicts it."""

    advice = "Correct the model or its manifest, and publish a new version."


class VersionTaken(PermanentError):
    """The version is published already, with other content."""

    advice = "Publish under a new version."


class GoldenSetRejected(PermanentError):
    """A golden set can't be used: its manifest is wrong, or an input is missing, repeated or too large."""

    advice = "Correct the folder of the golden set, and publish it again."


# images and the registry


class EngineUnavailable(TransientError):
    """The container engine does not answer."""

    advice = "Check that the container engine runs on the worker's machine."


class BuildFailed(PermanentError):
    """The image could not be built."""

    advice = "Read the build's last lines, and correct the Dockerfile or what it installs."


class TrialFailed(PermanentError):
    """The container did not start, answer or stop as it must."""

    advice = "Start the image on your machine, and compare it with docs/bring-your-app.md."


class RegistryUnavailable(TransientError):
    """The registry could not be reached, or broke off."""

    advice = "Check that the registry is running and that `[registry] address` points to it."


class ImageNotFound(PermanentError):
    """The registry holds no such image."""

    advice = "Build it with `slipway ci`, or release another image."


# clusters and releases


class ClusterUnavailable(TransientError):
    """The Kubernetes API server could not be reached."""

    advice = "Check that the API server is running and that the kubeconfig points to it."


class ClusterNotPrepared(PermanentError):
    """The cluster lacks what an administrator creates once: the namespace, its accounts, its secrets."""

    advice = "Prepare it as an administrator: python -m deployments.cluster.bootstrap"


class ChangedMeanwhile(TransientError):
    """An object in the cluster was changed or created by another writer."""

    advice = "Retry the run; if it fails again, find who else changes the object."


class FenceLost(PermanentError):
    """Another run has taken over the environment; the API server refuses every further write of this run."""

    advice = "Do nothing here: the other run continues from where this one stopped."


class LockedByAnother(PermanentError):
    """Another run has had the environment for longer than this one waits."""

    advice = "Wait for the other run, or cancel it, then start this one again."


class RecordTaken(PermanentError):
    """A record of that number is there already, of another release."""

    advice = "Start the release again: it takes the next number."


class RecordUnreadable(PermanentError):
    """A stored release record is damaged, or a newer Slipway wrote it."""

    advice = "Save a copy of the Secret, then delete it as an administrator."


class ManifestsRejected(PermanentError):
    """The manifests don't render, or the API server does not accept them."""

    advice = "Correct the manifests, commit, and release again."

    fault = "configuration"


class PodNotAllowed(ManifestsRejected):
    """The cluster's pod policy refuses an image, a service account or a Secret of the manifests' pods."""

    advice = "Correct the manifests, or let an administrator allow it."


class RolloutFailed(PermanentError):
    """The new replicas did not become ready; `fault` says what has to change."""

    advice = "Read pod states, events and log lines in the run's report."

    def __init__(
        self, happened: str, remedy: str = "", *, details: str = "", fault: Fault = "infrastructure"
    ) -> None:
        super().__init__(happened, remedy, details=details)
        self.fault = fault


class ResolverUnavailable(TransientError):
    """The DNS server that the public URL is looked up at did not answer, or could not find out."""

    advice = "Check that the DNS server is running and that `resolver` points to it."


class EdgeNotInOrder(PermanentError):
    """DNS, load balancer or certificate of the public URL are not as users need them: no image's fault.

    `finding` says which of them.
    """

    advice = "Correct DNS, load balancer or certificate, and release again."

    def __init__(
        self, happened: str, remedy: str = "", *, details: str = "", finding: EndpointFinding
    ) -> None:
        super().__init__(happened, remedy, details=details)
        self.finding = finding


class ProofFailed(PermanentError):
    """Asked from outside, the release did not answer as it must.

    `fault` is the image's, or the infrastructure's where no replica was reached. `pod` is the replica that
    answered wrong, "" where none answered at all. `answered_wrong` is True where the model's examples were
    answered, but wrongly.
    """

    advice = "Compare the answer with what was released; docs/bring-your-app.md says what is expected."

    def __init__(
        self,
        happened: str,
        remedy: str = "",
        *,
        details: str = "",
        fault: Fault = "image",
        pod: str = "",
        answered_wrong: bool = False,
    ) -> None:
        super().__init__(happened, remedy, details=details)
        self.fault = fault
        self.pod = pod
        self.answered_wrong = answered_wrong


class ReleaseRefused(PermanentError):
    """What was requested can't be done in the way it was requested."""

    advice = "Change the request as described, and start it again."


class ReleaseUndone(PermanentError):
    """A release failed; the previous release was restored and verified."""

    advice = "Read in the report why the release failed, and correct that. Users are served."


class UndoFailed(PermanentError):
    """A release failed, and so did undoing it: a person has to look."""

    advice = "Look at the environment now, correct what is named, then start recover/on-demand."


class NightlyMissing(PermanentError):
    """A night has no outcome by the time at which it should have one."""

    advice = "Open the night's run, or check that a worker runs and the schedule is active."


class NotInOrder(PermanentError):
    """The doctor found something that a run needs and does not have."""

    advice = "Do what the table `findings` of the doctor's run says of each row that failed."


# the embedded platform


class PlatformFailed(PermanentError):
    """A part of the embedded platform could not be built, or did not come up."""

    advice = "Read the last lines, and run `slipway up` again."


# programs


class CommandFailed(PermanentError):
    """A program ended with the exit status of a failure, or was `timed_out`; `details` has its last lines."""

    advice = "Read the program's last lines."

    def __init__(
        self, happened: str, remedy: str = "", *, details: str = "", status: int, timed_out: bool = False
    ) -> None:
        super().__init__(happened, remedy, details=details)
        self.status = status
        self.timed_out = timed_out


class SeveralFailed(SlipwayError):
    """Parts of one run failed, each for its own reason: `failures`, in order. `fault` is the first one's."""

    advice = "Correct what each of the parts names, and start the run again."

    def __init__(self, failures: Sequence[SlipwayError]) -> None:
        *earlier, last = failures
        happened = " ".join([*(str(failure) for failure in earlier), last.happened])
        details = "\n\n".join(failure.details for failure in failures if failure.details)
        super().__init__(happened, last.remedy, details=details)
        self.failures = tuple(failures)
        self.fault = failures[0].fault


def is_passing(error: SlipwayError) -> bool:
    """Whether only systems that were away caused it, so that the same run may succeed later."""
    if isinstance(error, SeveralFailed):
        return all(is_passing(failure) for failure in error.failures)
    return isinstance(error, TransientError)


def raise_all(failures: Sequence[SlipwayError]) -> None:
    """Raise a single failure unchanged, several as `SeveralFailed`; raise nothing if there is none."""
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise SeveralFailed(failures)
