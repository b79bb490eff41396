"""`run`, `up` and `build`: the platform is brought up, or repaired, from whatever is there."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import docker
from filelock import FileLock, Timeout

from deployments.local import platform, platform_file, supervision
from deployments.local.commands import summary
from deployments.local.demo.first_release import BuildAndRelease
from deployments.local.docker import versions
from deployments.local.instance import Instance
from deployments.local.network import edge
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import auth, triggers
from deployments.local.prefect.server import SERVER
from deployments.local.progress import Display, Steps
from flows.config import load as configuration
from flows.core.errors import PlatformFailed


def run_everything(instance: Instance, written: WrittenSettings, sample: str | None = None) -> None:
    """Bring up or repair the platform, build, release, and print what is live; what is up already stays.

    `sample` is the model of the project that is served from now on; None: the one that was chosen before.
    """
    edge.served(written)  # refuse an environment without a listener before anything starts
    with _alone(instance), _poller_restarted(instance), Display() as display:
        with Steps(display) as steps:
            client = steps.start("Checks", platform.prepare, instance, written).result()
            _warn(display, client)
            if sample is not None:
                platform_file.choose_sample(instance, written, sample)
            parts = BringUp(steps, client, instance, written).everything()
            image, release = BuildAndRelease(steps, instance, written).start(parts)
        settings = configuration.load()  # with what the platform filled in
    summary.show(display.console, instance, settings, image.result(), release.result())


def bring_up(instance: Instance, written: WrittenSettings) -> None:
    """Bring up or repair the platform, with its environments' namespaces; start no run on it."""
    edge.served(written)
    with _alone(instance), _poller_restarted(instance), Display() as display:
        with Steps(display) as steps:
            client = steps.start("Checks", platform.prepare, instance, written).result()
            _warn(display, client)
            parts = BringUp(steps, client, instance, written).everything()
            BuildAndRelease(steps, instance, written).prepare(parts)
        triggers.start_poller(instance)
        display.console.print(
            f"Platform {instance.name} is up. Prefect: http://127.0.0.1:{instance.ports.prefect_port} "
            f"(to sign in, enter the line in {auth.file(instance)})",
            soft_wrap=True,
        )


def build_everything(instance: Instance, written: WrittenSettings) -> None:
    """Have the images and the Kubernetes that platforms on this machine are made of."""
    with Display() as display, Steps(display) as steps:
        client = steps.start("Checks", platform.prepare_to_build, instance, []).result()
        BringUp(steps, client, instance, written).ingredients()


def _warn(display: Display, client: docker.DockerClient) -> None:
    for warning in versions.warnings(client.version().get("Components", [])):
        display.line(f"! {warning}")


@contextmanager
def _poller_restarted(instance: Instance) -> Iterator[None]:
    """Start the poller also if the block fails: the step that stopped it may have been cut off."""
    try:
        yield
    except BaseException:  # an interrupt as well
        if supervision.is_up(instance, SERVER):
            with suppress(PlatformFailed):  # its reason was printed
                triggers.start_poller(instance)
        raise


@contextmanager
def _alone(instance: Instance) -> Iterator[None]:
    """One `run` at a time for a platform."""
    platform_file.mark_state_folder(instance.state)
    try:
        held = FileLock(instance.state / "run.lock").acquire(blocking=False)
    except Timeout as error:
        raise PlatformFailed(
            f"Another `run` is bringing up {instance.name}.", "Wait for it, or end it."
        ) from error
    with held:
        yield
