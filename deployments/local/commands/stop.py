"""Ending the platform, with or without its data."""

import shutil
from contextlib import suppress

from rich.console import Console

from deployments.local import platform_file
from deployments.local.cluster import kubernetes_binary
from deployments.local.docker import engine, images
from deployments.local.instance import Instance
from deployments.local.prefect import server
from flows.core.errors import EngineUnavailable


def stop_platform(instance: Instance, console: Console, *, with_images: bool = False) -> None:
    """End processes and containers; volumes and state stay.

    `with_images` deletes the images, except those that containers of other platforms use.
    """
    server.down(instance)
    with suppress(EngineUnavailable):  # no daemon, no containers
        engine.remove_containers(engine.connect(), instance)
    if with_images:
        images.remove_all(engine.connect())
        console.print("Its images are deleted: `make run` builds them again from the newest packages.")
    console.print(f"Platform {instance.name} is stopped. Its data is kept: `make run` takes up where it was.")


def clean_platform(instance: Instance, console: Console) -> None:
    """End everything and delete what this checkout's platform has on the machine."""
    delete(instance)
    if platform_file.is_main(instance):  # other platforms of this machine share the images
        images.remove_all(engine.connect())
        platform_file.command_line_file().unlink(missing_ok=True)
    console.print(f"Platform {instance.name} is gone, with its volumes, state and images.")
    cache = kubernetes_binary.cache_folder()
    if cache.exists():
        console.print(f"The compiled Kubernetes is kept for all checkouts. To delete it: rm -r {cache}")


def delete(instance: Instance) -> None:
    """End it and delete its containers, network, volumes, state folder and the images for its registry."""
    server.down(instance)
    client = engine.connect()
    engine.remove_all(client, instance)
    images.remove_named(client, f"localhost:{instance.ports.registry_port}")
    if platform_file.is_state_folder(instance.state):
        shutil.rmtree(instance.state)
