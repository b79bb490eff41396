"""The host of a commit hears how its run went, and a host that is deaf changes nothing."""

from collections.abc import Iterator

import pytest
from prefect.blocks.system import Secret

from tests.flows.conftest import Line
from tests.stand_ins.commit_host import CommitHost, commit_host
from tests.support.rows import rest_slow


@pytest.fixture
def provider(line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommitHost]:
    """GitHub, as far as the line's settings say."""
    Secret(value="a-token").save(f"{line.model}-status", overwrite=True)
    with commit_host() as found:
        monkeypatch.setenv("SLIPWAY_HOOKS__REPOSITORY", "https://github.com/acme/app")
        monkeypatch.setenv("SLIPWAY_SOURCE__STATUS_API", found.url)
        monkeypatch.setenv("SLIPWAY_SOURCE__STATUS_CREDENTIALS", f"{line.model}-status")
        yield found


def statuses(provider: CommitHost) -> list[tuple[str, str]]:
    return [(body["state"], path.rpartition("/")[2]) for path, _, body in provider.received]


def test_a_commit_is_pending_and_then_good_with_a_link_to_the_run(line: Line, provider: CommitHost) -> None:
    sha = line.git("rev-parse", "HEAD")
    run = line.ci()
    assert statuses(provider) == [("pending", sha), ("success", sha)]
    assert all(body["target_url"].endswith(f"/flow-run/{run.id}") for _, _, body in provider.received)


def test_a_commit_whose_tests_fail_gets_the_reason(line: Line, provider: CommitHost) -> None:
    sha = line.commit(tests="fail")
    assert not line.ci().succeeded
    assert statuses(provider) == [("pending", sha), ("failure", sha)]
    assert "test" in provider.received[-1][2]["description"]


@pytest.mark.parametrize("answer", rest_slow([401, 500], 1))
def test_a_host_that_takes_no_status_is_logged_and_fails_no_build(
    line: Line, provider: CommitHost, answer: int
) -> None:
    provider.answers = answer
    run = line.ci()
    assert run.succeeded
    assert "The commit status was not sent" in run.log()
    assert "a-token" not in run.log()
