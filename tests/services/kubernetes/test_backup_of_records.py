"""What `make backup` keeps of an environment, put back by an administrator after it was lost."""

from deployments.local.commands import backup, restore
from flows.core.release.environment_state import EnvironmentState, Hold
from flows.services.kubernetes import lease
from flows.services.kubernetes.release_store import Records
from flows.services.process.command import silent
from tests.services.a_namespace import Namespace
from tests.support.a_record import NOON, good, superseded


def test_records_and_notes_that_were_lost_are_restored_and_newer_ones_stay(namespace: Namespace) -> None:
    records = Records(namespace.account)
    notes = EnvironmentState(hold=Hold(NOON, "Ada", "an inventory"))
    with lease.acquire(records.cluster, "run", 0, silent) as held:
        records.write(superseded(7), held.fence)
        records.write(good(8), held.fence)
        records.write_notes(notes, held.fence)
    kept = backup.records_of(namespace.admin)
    namespace.kubectl("delete", "secret", "slipway-release-7")
    namespace.kubectl("delete", "configmap", "slipway-environment")
    restore.put_records(namespace.admin, kept)
    assert records.history() == [good(8), superseded(7)]
    assert records.notes() == notes
