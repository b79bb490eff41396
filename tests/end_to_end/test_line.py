"""The whole line as ops would see it: a real app and a real model, through server, worker and cluster."""

import base64
import io
import json
import subprocess
import sys

import httpx
import pytest
from rich.console import Console

from deployments.local.commands import summary
from flows.config import load as configuration
from flows.config.load import CHECKOUT
from tests.support.platform_under_test import PlatformUnderTest
from tests.support.released import Released


def test_the_app_that_users_reach_is_this_commit_with_this_model(
    platform: PlatformUnderTest, released: Released
) -> None:
    answer = httpx.get(f"{platform.app_url}/version", trust_env=False)
    assert answer.json()["commit"] == released.commit
    assert answer.json()["model"]["version"] == "1.0.0"
    assert answer.headers["X-Served-By"].startswith("classifier-")


def test_it_knows_a_cat(platform: PlatformUnderTest, released: Released) -> None:
    chelsea = next(example for example in released.manifest.examples if "chelsea" in example.name)
    picture = base64.b64decode(chelsea.input)
    answer = httpx.post(
        f"{platform.app_url}/score", content=picture, headers={"Content-Type": "image/jpeg"}, trust_env=False
    )
    label, percent = answer.json()["result"][0][0]
    assert "cat" in label or label == "Egyptian Mau"
    assert percent == pytest.approx(chelsea.expected[0][1], abs=chelsea.tolerance)


def test_every_replica_serves_it(platform: PlatformUnderTest, released: Released) -> None:
    pods = {
        httpx.get(f"{platform.app_url}/version", trust_env=False).headers["X-Served-By"] for _ in range(60)
    }
    assert len(pods) == 3


def test_status_shows_what_is_live(platform: PlatformUnderTest, released: Released) -> None:
    command = [sys.executable, "-m", "deployments.local", "status", "--json"]
    shown = subprocess.run(
        command, cwd=CHECKOUT, env=platform.environment, check=True, capture_output=True, text=True
    )
    status = json.loads(shown.stdout)
    live = status["environments"]["production"]
    assert live == status["environments"]["staging"]
    assert status["app_url"] == platform.app_url
    assert status["prefect_url"] == platform.api.ui_url
    assert (live["commit"], live["replicas"], live["ready"]) == (released.commit, 3, 3)
    assert (live["model"]["name"], live["model"]["version"]) == ("classifier", "1.0.0")
    assert live["digest"].startswith("sha256:")
    assert len(live["capsule"]) == 64


def test_the_summary_of_a_run_shows_where_things_are_and_how_to_sign_in(
    platform: PlatformUnderTest, released: Released, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    written = io.StringIO()
    console = Console(file=written, soft_wrap=True)
    summary.show(console, platform.instance, configuration.load(), released.build, released.release)
    file = platform.instance.state / "prefect-sign-in"
    assert f"{platform.api.ui_url} (to sign in, enter the line in {file})" in written.getvalue()
    assert file.read_text().strip() == platform.api.sign_in
    assert f"commit {released.commit[:7]}, model classifier 1.0.0" in written.getvalue()


def test_nothing_new_builds_and_releases_nothing(platform: PlatformUnderTest, released: Released) -> None:
    again = platform.run("ci/commit")
    assert "nothing to build; latest stays" in again.message
    night = platform.run("release/nightly")
    assert night.state == "COMPLETED"
    assert night.state_name == "Skipped"
    assert "Nothing to release to staging" in night.message
    assert "Nothing to release to production" in night.message
