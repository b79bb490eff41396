"""What rows say together."""

from flows.core.doctor.finding import Finding, explained, not_checked, summary, worst

OK = Finding("settings", "ok", "They are in order.")
FAILED = Finding("registry: push", "failed", "It does not let us push.", "began an upload", "Give the right.")
WARNING = Finding("certificate", "warning", "It ends soon.", "looked at it", "Renew it.")
UNSEEN = not_checked("cluster", "block secret/production is not in order")


def test_all_together_are_as_the_worst_row() -> None:
    assert worst([OK]) == "ok"
    assert worst([OK, WARNING, UNSEEN]) == "warning"
    assert worst([OK, FAILED, WARNING]) == "failed"


def test_the_summary_names_what_failed_and_counts_the_rest() -> None:
    assert summary([OK]) == "No check failed."
    assert summary([OK, WARNING, UNSEEN]) == "No check failed. 1 warning, 1 not checked."
    assert summary([OK, FAILED, UNSEEN]) == "1 of 3 checks failed: registry: push. 1 not checked."


def test_remedies_of_failures_come_first_and_rows_that_were_not_checked_have_none() -> None:
    assert explained([WARNING, OK, UNSEEN, FAILED]) == [
        "registry: push (failed): Give the right.",
        "  Tried: began an upload.",
        "certificate (warning): Renew it.",
        "  Tried: looked at it.",
    ]


def test_a_row_can_be_depended_on_unless_it_failed_or_was_not_checked() -> None:
    assert [one.is_usable for one in (OK, WARNING, FAILED, UNSEEN)] == [True, True, False, False]
