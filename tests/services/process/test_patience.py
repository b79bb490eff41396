import pytest

from flows.core.errors import ClusterUnavailable, FenceLost
from flows.services.process import patience
from flows.services.process.patience import Patience


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE", 0.01)


class Server:
    """Answers after so many requests that are lost."""

    def __init__(self, lost: int) -> None:
        self.lost = lost
        self.requests = 0

    def answer(self) -> str:
        self.requests += 1
        if self.requests <= self.lost:
            raise ClusterUnavailable("The API server is away.")
        return "an answer"


def test_a_server_that_comes_back_is_waited_for_and_that_is_logged_once() -> None:
    said: list[str] = []
    assert Patience(said.append, lambda: None).wait_out(Server(lost=3).answer) == "an answer"
    (line,) = said
    assert line.startswith("Waiting for an answer. The API server is away.")


def test_all_requests_of_a_stage_share_its_seconds() -> None:
    shared = Patience(print, lambda: None, seconds=0.05)
    with pytest.raises(ClusterUnavailable):
        shared.wait_out(Server(lost=1000).answer)
    second = Server(lost=1)
    with pytest.raises(ClusterUnavailable):
        shared.wait_out(second.answer)
    assert second.requests == 1


def test_a_run_that_lost_its_lock_waits_no_longer() -> None:
    def lost() -> None:
        raise FenceLost("Another run has taken over.")

    with pytest.raises(FenceLost):
        Patience(print, lost).wait_out(Server(lost=1).answer)
