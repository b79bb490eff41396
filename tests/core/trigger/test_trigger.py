"""What deliveries ask for, as the providers really send them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.core.build.image import parse
from flows.core.trigger.attempts import Tries
from flows.core.trigger.trigger import (
    Foreign,
    Ignored,
    Invalid,
    Rules,
    Wanted,
    azure_devops,
    github,
    identify,
    key,
)

DELIVERIES = Path(__file__).parents[2] / "deliveries"
HELLO = Rules("github.com/codertocat/hello-world", ("feature/*",), "master")
FABRIKAM = Rules("dev.azure.com/fabrikam-fiber-inc/fabrikam-fiber-git/_git/fabrikam-fiber-git", (), "master")
PUSHED = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"


def delivery(name: str, **changed: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DELIVERIES / f"{name}.json").read_text())
    return content | changed


def test_a_push_to_a_branch_that_is_built_wants_its_newest_commit() -> None:
    assert github("push", delivery("github-push"), HELLO) == Wanted(HELLO.repository, "master", PUSHED)


def test_the_head_before_the_push_is_known() -> None:
    found = github("push", delivery("github-push", before="a" * 40), HELLO)
    assert found == Wanted(HELLO.repository, "master", PUSHED, "a" * 40)


@pytest.mark.parametrize(
    "name", ["feature/a\0b", "feature/a..b", "feature/", "feature/a b", "feature/x.lock"]
)
def test_a_branch_that_git_could_not_name_so_is_refused(name: str) -> None:
    found = github("push", delivery("github-push", ref=f"refs/heads/{name}"), HELLO)
    assert isinstance(found, Invalid)
    assert "is no name that git gives a branch" in found.reason


@pytest.mark.parametrize(
    ("event", "payload", "reason"),
    [
        ("push", delivery("github-push", ref="refs/heads/idea"), "branch idea is not built"),
        ("push", delivery("github-push", after="0" * 40), "branch master was deleted"),
        ("push", delivery("github-push-tag"), "refs/tags/simple-tag is no branch"),
        ("push", delivery("github-push-deleted-tag"), "refs/tags/simple-tag is no branch"),
        ("create", delivery("github-create"), "event 'create' builds nothing"),
        ("ping", delivery("github-ping-organization"), "ping"),
        ("x" * 4000, {}, "builds nothing"),
    ],
)
def test_what_builds_nothing_is_ignored_with_the_reason(event: str, payload: Any, reason: str) -> None:
    ignored = github(event, payload, HELLO)
    assert isinstance(ignored, Ignored)
    assert reason in ignored.reason
    assert len(ignored.reason) < 200


@pytest.mark.parametrize("branch", ["feature/a", "feature/a/b"])
def test_a_pattern_takes_branches_in(branch: str) -> None:
    found = github("push", delivery("github-push", ref=f"refs/heads/{branch}"), HELLO)
    assert found == Wanted(HELLO.repository, branch, PUSHED)


@pytest.mark.parametrize(("event", "name"), [("push", "github-push"), ("ping", "github-ping")])
def test_another_repository_is_foreign(event: str, name: str) -> None:
    found = github(event, delivery(name), Rules("github.com/acme/app", ("*",), "main"))
    assert isinstance(found, Foreign)
    assert "/hello-world is not the repository" in found.reason


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "push",
        delivery("github-push", ref=None),
        delivery("github-push", after="HEAD; rm -rf /"),
        delivery("github-push", before=7),
        delivery("github-push", repository={"clone_url": 1}),
        delivery("github-push", repository=None),
    ],
)
def test_what_github_does_not_send_is_invalid(payload: Any) -> None:
    assert isinstance(github("push", payload, HELLO), Invalid)


@pytest.mark.parametrize("url", ["https://[github.com/x", "https://[::1/x", "http://a\u2100b/x", "://", "@:"])
def test_what_is_no_url_is_foreign(url: str) -> None:
    from_github = github("push", delivery("github-push", repository={"clone_url": url}), HELLO)
    payload = delivery("azure-devops-git-push")
    payload["resource"]["repository"]["remoteUrl"] = url
    (from_azure,) = azure_devops(payload, FABRIKAM)
    assert isinstance(from_github, Foreign)
    assert isinstance(from_azure, Foreign)


def test_a_push_to_azure_repos_wants_its_newest_commit() -> None:
    assert azure_devops(delivery("azure-devops-git-push"), FABRIKAM) == [
        Wanted(
            FABRIKAM.repository,
            "master",
            "33b55f7cb7e7e245323987634f960cf4a6e6bc74",
            "aad331d8d3b131fa9ae03cf5e53965b51942618a",
        )
    ]


def test_one_push_to_azure_repos_may_update_several_branches() -> None:
    payload = delivery("azure-devops-git-push")
    update = payload["resource"]["refUpdates"][0]
    payload["resource"]["refUpdates"] = [update, update | {"name": "refs/heads/idea"}]
    wanted, ignored = azure_devops(payload, FABRIKAM)
    assert isinstance(wanted, Wanted)
    assert isinstance(ignored, Ignored)


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (delivery("azure-devops-git-push", eventType="build.complete"), Ignored),
        (delivery("azure-devops-git-push", resource={}), Invalid),
        ({}, Invalid),
        (None, Invalid),
    ],
)
def test_other_service_hooks_are_ignored_or_invalid(payload: Any, kind: type) -> None:
    (found,) = azure_devops(payload, FABRIKAM)
    assert isinstance(found, kind)


def test_another_azure_repository_is_foreign() -> None:
    (found,) = azure_devops(delivery("azure-devops-git-push"), HELLO)
    assert isinstance(found, Foreign)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://github.com/Acme/App.git", "github.com/acme/app"),
        ("https://someone@github.com/acme/app/", "github.com/acme/app"),
        ("git@github.com:acme/app.git", "github.com/acme/app"),
        ("ssh://git@github.com/acme/app", "github.com/acme/app"),
        ("https://acme@dev.azure.com/acme/shop/_git/app", "dev.azure.com/acme/shop/_git/app"),
        ("git@ssh.dev.azure.com:v3/acme/shop/app", "dev.azure.com/acme/shop/_git/app"),
        ("ssh://git@ssh.github.com:443/acme/app.git", "github.com/acme/app"),
        ("https://acme.visualstudio.com/shop/_git/app", "dev.azure.com/acme/shop/_git/app"),
        ("https://acme.visualstudio.com/DefaultCollection/shop/_git/app", "dev.azure.com/acme/shop/_git/app"),
        ("https://acme.visualstudio.com/_git/app", "dev.azure.com/acme/app/_git/app"),
        ("https://dev.azure.com/acme/_git/app", "dev.azure.com/acme/app/_git/app"),
        ("acme@vs-ssh.visualstudio.com:v3/acme/shop/app", "dev.azure.com/acme/shop/_git/app"),
        ("https://dev.azure.com.evil.example/acme/_git/app", "dev.azure.com.evil.example/acme/_git/app"),
        ("https://evilvisualstudio.com/shop/_git/app", "evilvisualstudio.com/shop/_git/app"),
        ("/srv/git/App.git", "/srv/git/App.git"),
    ],
)
def test_a_repository_is_the_same_however_its_url_is_written(url: str, same: str) -> None:
    assert identify(url) == same


def test_a_key_differs_in_each_part() -> None:
    wanted = Wanted("r", "main", PUSHED)
    keys = {
        key(wanted, "sha256:1", Tries()),
        key(wanted, "sha256:1", Tries(crashed=1)),
        key(wanted, "sha256:2", Tries()),
        key(Wanted("r", "idea", PUSHED), "sha256:1", Tries()),
        key(Wanted("r", "main", "a" * 40), "sha256:1", Tries()),
        key(Wanted("s", "main", PUSHED), "sha256:1", Tries()),
        key(wanted, "sha256:1", Tries(), "after-1"),
        key(wanted, "sha256:1", Tries(crashed=1), "after-1"),
        *(key(replace(wanted, base=parse(f"python@sha256:{base}")), "sha256:1", Tries()) for base in "12"),
    }
    assert len(keys) == 10
    assert (
        key(Wanted("r", "main", PUSHED, "b" * 40), "sha256:1", Tries()) in keys
    )  # how it came about is no part
