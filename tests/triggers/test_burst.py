"""Many deliveries at once, as after an outage of the provider."""

from concurrent.futures import ThreadPoolExecutor

from tests.triggers.conftest import Team
from tests.triggers.processes import deliver, receiver

COMMITS, EACH = 10, 20


def test_each_of_many_deliveries_is_answered_and_each_commit_has_one_run(team: Team) -> None:
    commits = [team.commit() for _ in range(COMMITS)]
    with receiver(team) as (url, _), ThreadPoolExecutor(16) as senders:
        answers = list(senders.map(lambda sha: deliver(url, sha), commits * EACH))
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["run_id"] for answer in answers} == {team.only_run(sha).id for sha in commits}
