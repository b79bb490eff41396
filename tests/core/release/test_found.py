"""What a release finds in its place is given back, and only what it made is deleted."""

from typing import Any

from flows.core.release.found import as_found, created, found, given_back, to_look_for
from flows.core.release.record import identity
from tests.support.a_record import a_record, good, superseded


def config_map(name: str, value: str = "new") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}}


APP, SETTINGS = config_map("app"), config_map("settings")
BY_HAND = config_map("settings", "by hand")
LIVE = good(4, objects=(APP,))


def test_what_the_release_in_force_has_not_is_looked_for() -> None:
    assert to_look_for((APP, SETTINGS), LIVE) == [SETTINGS]
    assert to_look_for((APP, SETTINGS), None) == [APP, SETTINGS]


def test_an_undo_deletes_what_the_release_made_and_gives_back_what_it_found() -> None:
    own = config_map("own")
    failed = a_record(5, objects=(APP, SETTINGS, own), before=(BY_HAND,))
    assert created(failed, LIVE) == (own,)
    assert given_back(failed, LIVE) == (BY_HAND,)


def test_a_first_release_that_found_something_deletes_the_rest_alone() -> None:
    failed = a_record(1, objects=(APP, SETTINGS), before=(BY_HAND,))
    assert created(failed, None) == (APP,)
    assert given_back(failed, None) == (BY_HAND,)


def test_what_was_found_is_passed_on_for_as_long_as_releases_have_it() -> None:
    took_over = good(5, objects=(APP, SETTINGS), before=(BY_HAND,))
    assert found((APP, SETTINGS), took_over, []) == (BY_HAND,)
    assert found((APP,), took_over, []) == ()
    later = a_record(6, objects=(APP, SETTINGS), before=(BY_HAND,))
    assert given_back(later, took_over) == ()
    assert given_back(later, superseded(4, objects=(APP,))) == (BY_HAND,)


def test_what_was_found_is_kept_as_it_can_be_applied_again() -> None:
    there = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "uid": "1",
            "resourceVersion": "7",
            "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{}],
            "labels": {"app": "web"},
            "annotations": {
                "deployment.kubernetes.io/revision": "3",
                "slipway.dev/fence": "run/1",
                "team": "a",
            },
        },
        "spec": {"replicas": 2},
        "status": {"replicas": 2},
    }
    assert as_found(there) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": {"team": "a"}},
        "spec": {"replicas": 2},
    }


def test_objects_are_the_same_by_group_kind_and_name_whatever_their_version() -> None:
    old = {"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "a"}}
    new = {**old, "apiVersion": "apps/v1"}
    other = {**new, "metadata": {"name": "b"}}
    assert identity(new) == identity(old) == ("apps", "Deployment", "a")
    assert created(a_record(2, objects=(new, other)), a_record(1, objects=(old,))) == (other,)
