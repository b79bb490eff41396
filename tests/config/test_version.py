"""Which Slipway this is, as release records and clusters name it."""

import shutil
from pathlib import Path

from flows.config.version import CLUSTER_OBJECTS, cluster_edition, commit, full, number


def test_the_writer_of_a_record_is_version_and_commit() -> None:
    assert full() == f"{number()} ({commit()})"


def test_the_edition_of_the_clusters_objects_changes_with_an_object_but_not_with_a_comment(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "cluster"
    shutil.copytree(CLUSTER_OBJECTS, folder)
    account = folder / "account.yaml"
    account.write_text("# a comment\n" + account.read_text())
    assert cluster_edition(folder) == cluster_edition()
    account.write_text(account.read_text().replace("verbs: [get, update]", "verbs: [get]"))
    assert cluster_edition(folder) != cluster_edition()
