"""Records and notes on a real cluster, kept by the account that releases."""

import json
from dataclasses import replace

import pytest

from flows.core.errors import ClusterNotPrepared, RecordTaken, RecordUnreadable
from flows.core.release.environment_state import EnvironmentState, Hold, Quarantine
from flows.core.release.record import Record
from flows.services.kubernetes import lease
from flows.services.kubernetes.release_store import Records
from flows.services.process.command import silent
from flows.stages.housekeeping import named_in, runs_recorded_in
from tests.services.a_namespace import Namespace
from tests.support import confined
from tests.support.a_record import NOON, a_record, good, superseded


@pytest.fixture
def records(namespace: Namespace) -> Records:
    """As the account sees them."""
    return Records(namespace.account)


def write(records: Records, *wanted: Record) -> None:
    with lease.acquire(records.cluster, "run", 0, silent) as held:
        for record in wanted:
            records.write(record, held.fence)


def labels(namespace: Namespace) -> list[str]:
    shown = "--output=jsonpath={range .items[*]}{.type} {.metadata.labels}{'\\n'}{end}"
    selector = "--field-selector=type=slipway.dev/release.v1"
    return namespace.kubectl("get", "secrets", selector, shown).splitlines()


def test_a_new_environment_has_no_history_and_no_notes(records: Records) -> None:
    assert records.history() == []
    assert records.notes() == EnvironmentState()


def test_records_are_read_as_they_were_written_the_newest_first(records: Records) -> None:
    large = tuple({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{n}"}} for n in range(20))
    wanted = [superseded(n) for n in range(8, 10)] + [good(10, objects=large), a_record(11)]
    write(records, *wanted)
    assert records.history() == wanted[::-1]


def test_a_record_is_closed_in_place_and_its_labels_say_so(namespace: Namespace, records: Records) -> None:
    write(records, a_record(7))
    write(records, good(7))
    assert records.history() == [good(7)]
    (shown,) = labels(namespace)
    assert shown.startswith("slipway.dev/release.v1 ")
    for label in (
        '"slipway.dev/number":"7"',
        '"slipway.dev/verdict":"deployed"',
        '"app.kubernetes.io/name":"web"',
    ):
        assert label in shown


def test_a_number_that_is_taken_stays_the_others(records: Records) -> None:
    write(records, a_record(1))
    with pytest.raises(RecordTaken, match=r"Number 1 .* run run-1 released"):
        write(records, a_record(1, run="run-of-another"))
    assert records.history() == [a_record(1)]


def test_a_record_whose_first_writing_was_not_heard_of_is_written_again(records: Records) -> None:
    again = a_record(1, started=NOON)
    write(records, a_record(1), again)
    assert records.history() == [again]


def test_ten_are_kept_and_always_the_live_one_and_the_last_good_one(records: Records) -> None:
    failed = [a_record(n, verdict="failed") for n in range(4, 16)]
    write(records, superseded(1), superseded(2), good(3), *failed)
    with lease.acquire(records.cluster, "run", 0, silent) as held:
        records.prune(held.fence)
        kept = [record.number for record in records.history()]
        records.prune(held.fence)
    assert kept == [*range(15, 5, -1), 3, 2]
    assert [record.number for record in records.history()] == kept


def test_another_apps_records_are_not_ours(records: Records) -> None:
    write(records, a_record(1))
    assert Records(replace(records.cluster, deployment="other")).history() == []


def test_a_record_that_cannot_be_read_is_named(namespace: Namespace, records: Records) -> None:
    write(records, a_record(1))
    namespace.kubectl("patch", "secret", "slipway-release-1", '--patch={"data":{"release":"eHg="}}')
    with pytest.raises(RecordUnreadable, match="slipway-release-1 is not a readable release record"):
        records.history()


def test_notes_are_read_as_they_were_written_and_replaced_as_a_whole(records: Records) -> None:
    held_back = EnvironmentState(
        Hold(NOON, "Ada", "rolled back"), (Quarantine("sha256:a", "crashed", NOON, "run-1"),)
    )
    with lease.acquire(records.cluster, "run", 0, silent) as held:
        for notes in (held_back, held_back.without_hold(), EnvironmentState()):
            records.write_notes(notes, held.fence)
            assert records.notes() == notes


def test_what_an_environment_names_is_what_its_records_and_marks_do(records: Records) -> None:
    write(records, superseded(3), good(4, content=replace(good(4).content, capsule="b" * 64)))
    with lease.acquire(records.cluster, "run", 0, silent) as held:
        records.write_notes(
            EnvironmentState(marks=(Quarantine("sha256:bad", "it crashed", NOON, "run"),)), held.fence
        )
    named = named_in(records.cluster)
    assert named.digests == {good(3).image.digest, good(4).image.digest, "sha256:bad"}
    assert named.capsules == {"c" * 64, "b" * 64}


def test_what_an_environment_runs_is_named_though_no_record_is_left(
    namespace: Namespace, records: Records
) -> None:
    by_hand, of_a_pod = (f"registry.test/app@sha256:{letter * 64}" for letter in "ab")
    by_tag = f"registry.test/app:{'e' * 64}"
    namespace.kubectl("create", "deployment", "web", f"--image={by_hand}", "--replicas=0")
    for name, image in (("one", of_a_pod), ("other", by_tag)):
        label = "--labels=app.kubernetes.io/name=web"
        spec = {
            "nodeSelector": {"nobody": "has-this"},
            "securityContext": confined.POD,
            "containers": [{"name": name, "image": image, "securityContext": confined.CONTAINER}],
        }
        pod = f"--overrides={json.dumps({'spec': spec})}"
        namespace.kubectl("run", name, f"--image={image}", label, pod)
    named = named_in(records.cluster)
    assert {f"sha256:{letter * 64}" for letter in "ab"} <= named.digests
    assert "e" * 64 in named.capsules


def test_the_runs_that_an_environment_leads_to_are_those_of_its_records(records: Records) -> None:
    write(records, superseded(3), good(4))
    assert runs_recorded_in(records.cluster) == {"run-3", "run-4"}


def test_a_namespace_that_is_not_there_names_nothing_for_certain(records: Records) -> None:
    with pytest.raises(ClusterNotPrepared):
        named_in(replace(records.cluster, namespace="no-such-namespace"))
    with pytest.raises(ClusterNotPrepared):
        runs_recorded_in(replace(records.cluster, namespace="no-such-namespace"))
