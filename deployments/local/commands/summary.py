"""What `make run` ends with: where everything is, what is live, and what to try next."""

from typing import Any

import httpx
from rich.console import Console

from deployments.local.commands import live
from deployments.local.commands.live import LiveFacts
from deployments.local.demo import digits, uncommitted
from deployments.local.demo.sample_model import photos
from deployments.local.instance import Instance
from deployments.local.network import edge
from deployments.local.prefect import auth, triggers
from flows.config.load import Settings
from flows.core.errors import PlatformFailed
from flows.services.prefect.client import FlowRun

PHOTO = "chelsea.png"
"""The cat of scikit-image's sample pictures."""

SCORE_TIMEOUT = 30


def show(console: Console, instance: Instance, settings: Settings, image: FlowRun, release: FlowRun) -> None:
    """Print it; the classification is asked from the service that users reach."""
    last = [*settings.environments][-1]
    url = edge.browser_url(instance, settings, last)
    prefect = f"http://127.0.0.1:{instance.ports.prefect_port}"
    lines = {
        "App": url,
        "By name": _names(settings),
        "Prefect": f"{prefect} (to sign in, enter the line in {auth.file(instance)})",
        "Webhooks": f"{triggers.hooks_url(instance)}/hooks/github, /hooks/azure-devops",
        "CI": image.message,
        "Release": release.message,
        **{f"In {name}": _live(live.read(settings, name)) for name in settings.environments},
        **({"A cat": _classification(url)} if settings.model.name != digits.NAME else {}),
    }
    if left_out := uncommitted.notice(settings):
        lines["Left out"] = left_out
    console.print()
    width = max(map(len, lines))
    for title, content in lines.items():
        console.print(f"{title:>{width}}  {content}")
    console.print(_NEXT.format(url=url, prefect=prefect))


def _names(settings: Settings) -> str:
    environments = settings.environments.values()
    urls = ", ".join(wanted.public_url for wanted in environments)
    servers = ", ".join(sorted({wanted.resolver for wanted in environments if wanted.resolver}))
    return f"{urls} (DNS server {servers})" if servers else urls


def _live(facts: LiveFacts) -> str:
    model = facts.model
    return (
        f"commit {(facts.commit or '?')[:7]}, model {model.name} {model.version}, "
        f"image {facts.digest}, {facts.ready} of {facts.replicas} replicas ready"
    )


def _classification(url: str) -> str:
    try:
        answer = httpx.post(
            f"{url}/score",
            content=photos.jpeg(PHOTO),
            headers={"Content-Type": "image/jpeg"},
            timeout=SCORE_TIMEOUT,
            trust_env=False,
        )
    except httpx.TransportError as error:
        raise PlatformFailed(f"The deployed app at {url} does not answer: {error}.") from error
    if answer.is_error:
        raise PlatformFailed(f"The deployed app answered {answer.status_code}: {answer.text[:300]}")
    found: list[list[Any]] = answer.json()["result"][0]
    return ", ".join(f"{label} {percent:.0f} %" for label, percent in found)


_NEXT = """
Try next:
  - Open {url} and drop a picture of your own on the page.
  - Change a line in app/, commit it, `make run` again, and watch it roll out at {prefect}/runs
  - See why production runs what it runs: .venv/bin/slipway why production
  - See what the clock will start, and when: .venv/bin/prefect flow-run ls --state Scheduled
"""
