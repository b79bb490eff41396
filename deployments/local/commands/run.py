"""`run`, from nothing or from whatever is there to the answer of a deployed app."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from deployments.local import platform, platform_file, supervision
from deployments.local.commands import summary
from deployments.local.demo.first_release import MainJob
from deployments.local.instance import Instance
from deployments.local.network import edge
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import auth, triggers
from deployments.local.prefect.server import SERVER
from deployments.local.progress import Display, Steps
from flows.config import load as configuration
from flows.core.errors import PlatformFailed


def run_everything(instance: Instance, written: WrittenSettings) -> None:
    """Bring up or repair, build, release, and tell; what is there already is left as it is."""
    edge.served(written)  # refuse an environment without a listener before anything starts
    with _alone(instance), _watched(instance), Display() as display:
        with Steps(display) as steps:
            client = steps.start("Checks", platform.prepare, instance, written).result()
            parts = BringUp(steps, client, instance, written).everything()
            image, release = MainJob(steps, instance, written).start(parts)
        settings = configuration.load()  # with what the platform filled in
    summary.show(display.console, instance, settings, image.result(), release.result())


def bring_up(instance: Instance, written: WrittenSettings) -> None:
    """Bring up or repair the platform, with its environments' namespaces; start no run on it."""
    edge.served(written)
    with _alone(instance), _watched(instance), Display() as display:
        with Steps(display) as steps:
            client = steps.start("Checks", platform.prepare, instance, written).result()
            MainJob(steps, instance, written).prepare(BringUp(steps, client, instance, written).everything())
        triggers.watch(instance)
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


@contextmanager
def _watched(instance: Instance) -> Iterator[None]:
    """Have the watch look however this ends: a step that is cut off can't see to it."""
    try:
        yield
    except BaseException:  # an interrupt as well
        if supervision.is_up(instance, SERVER):
            with suppress(PlatformFailed):  # its reason was printed
                triggers.watch(instance)
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
