"""kubectl on one namespace: server-side apply, and what its complaints mean."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from flows.core.errors import CommandFailed, ManifestsRejected, PermanentError, SlipwayError
from flows.core.rollout.judge import Object
from flows.services.kubernetes.api import FIELD_MANAGER, KubernetesApi
from flows.services.process.command import NOT_INSTALLED, Command, Say, run

APPLY_TIMEOUT = 60
UNREACHABLE = re.compile(
    r"connection (refused|reset)|connection lost|i/o timeout|no such host|TLS handshake|EOF"
    r"|[Uu]nable to connect|deadline exceeded|Too Many Requests|ServiceUnavailable|InternalError|etcdserver"
)
REFUSED = re.compile(r'forbidden: User "|Unauthorized|must be logged in')
CONFLICT = re.compile(r"conflicts? with")


@dataclass(frozen=True)
class Kubectl:
    """The program, with the kubeconfig and context of `api`."""

    program: str
    api: KubernetesApi
    namespace: str

    def apply(self, objects: Sequence[Object], options: tuple[str, ...], say: Say) -> None:
        """Apply the objects as our field manager; `ManifestsRejected` carries the server's words."""
        manifests = yaml.safe_dump_all([dict(item) for item in objects], sort_keys=False)
        try:
            run(Command((*self._apply(), *options), APPLY_TIMEOUT, stdin=manifests), say)
        except CommandFailed as failure:
            raise self._explained(failure) from None

    def view(self) -> str:
        """The context's part of the kubeconfig as JSON, with the contents of the files that it names."""
        options = ("--raw", "--minify", "--flatten", "--output=json")
        return run(Command((self.program, "config", "view", *self._access(), *options), 30), lambda _: None)

    def rejected(self, reason: str, details: str = "") -> ManifestsRejected:
        """The error of a server that does not take what we send."""
        return ManifestsRejected(f"The cluster does not accept the manifests: {reason}", details=details)

    def _apply(self) -> tuple[str, ...]:
        options = ("apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "--filename=-")
        return (self.program, *options, *self._access(), f"--namespace={self.namespace}")

    def _access(self) -> tuple[str, ...]:
        file = self.api.kubeconfig
        return (*((f"--kubeconfig={file}",) if file else ()), f"--context={self.api.context}")

    def _explained(self, failure: CommandFailed) -> SlipwayError:
        said = failure.details
        last = said.splitlines()[-1] if said else failure.happened
        if fenced := self.api.fenced(said):
            return fenced
        if failure.timed_out or UNREACHABLE.search(said):
            return self.api.away(last)
        if REFUSED.search(said):
            return self.api.refused(last)
        if failure.status == NOT_INSTALLED:
            return PermanentError(
                failure.happened, "Set `kubectl` in slipway.toml to a kubectl of 1.27 or newer."
            )
        if CONFLICT.search(said):
            return ManifestsRejected(
                "Somebody else set a field that the manifests set, too.",
                f"Let go of it there, or take it out of the manifests: {last}",
                details=said,
            )
        return self.rejected(last, said)
