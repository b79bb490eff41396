import asyncio
import stat
from dataclasses import replace

import asyncpg
import pytest

from deployments.local.docker.engine import connect, find_container
from deployments.local.instance import Instance
from deployments.local.platform import BringUp
from deployments.local.platform_file import WrittenSettings
from deployments.local.prefect import server
from deployments.local.processes import belonging_to, command_of
from deployments.local.stores import database as embedded
from deployments.local.stores.database import DatabaseAccess
from deployments.prefect.api import PrefectApi
from tests.support.preparing import BringUpParts
from tests.support.waiting import wait_until

pytestmark = pytest.mark.exclusive


@pytest.fixture(scope="module")
def database(bring_up: BringUpParts) -> DatabaseAccess:
    return bring_up(BringUp.database).result()


def query(access: DatabaseAccess, statement: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(access.connection_url.replace("+asyncpg", ""))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_it_wants_the_password(database: DatabaseAccess) -> None:
    assert embedded.answers(database)
    assert not embedded.answers(replace(database, password="another"))


def test_only_this_machine_reaches_it(database: DatabaseAccess, instance: Instance) -> None:
    container = find_container(connect(), instance, embedded.ROLE)
    assert container
    assert container.attrs["HostConfig"]["PortBindings"] == {
        "5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(database.port)}]
    }


def test_only_its_owner_reads_the_password(database: DatabaseAccess, instance: Instance) -> None:
    file = instance.state / "database" / "password"
    assert file.read_text() == database.password
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert database.password not in repr(database)


def test_data_survive_the_container(
    database: DatabaseAccess, bring_up: BringUpParts, instance: Instance
) -> None:
    query(database, "CREATE TABLE IF NOT EXISTS kept_apart (line text)")
    query(database, "INSERT INTO kept_apart VALUES ('kept')")
    container = find_container(connect(), instance, embedded.ROLE)
    assert container
    container.stop()
    container.remove()
    assert bring_up(BringUp.database).result() == database
    assert query(database, "SELECT line FROM kept_apart") == "kept"
    query(database, "DROP TABLE kept_apart")


def test_a_new_password_is_taken_over(
    database: DatabaseAccess, bring_up: BringUpParts, instance: Instance
) -> None:
    """As where the state folder was deleted by hand, and the volume was not."""
    file = instance.state / "database" / "password"
    container = find_container(connect(), instance, embedded.ROLE)
    assert container
    container.stop()
    file.unlink()
    renewed = bring_up(BringUp.database).result()
    assert renewed.password != database.password
    assert not embedded.answers(database)
    container.stop()
    file.write_text(database.password)
    assert bring_up(BringUp.database).result() == database


def test_killed_it_is_back_by_itself(database: DatabaseAccess, instance: Instance) -> None:
    container = find_container(connect(), instance, embedded.ROLE)
    assert container
    before = container.attrs["State"]["Pid"]
    container.exec_run(["sh", "-c", "kill -QUIT 1"])
    wait_until(lambda: _restarted(instance, before), "The database was not started again")
    wait_until(lambda: embedded.answers(database), "The database does not answer")


def test_the_server_keeps_its_data_there_and_no_flow_run_can(
    database: DatabaseAccess, prefect_server: PrefectApi, instance: Instance, settings: WrittenSettings
) -> None:
    prefect_server.ensure_variable("kept_in_postgres", "yes")
    assert query(database, "SELECT value #>> '{}' FROM variable WHERE name = 'kept_in_postgres'") == "yes"
    assert not (instance.state / "prefect" / "prefect.db").exists()
    knowing = {
        " ".join(command_of(process))
        for process in belonging_to(instance.name)
        if database.password in repr(process.environ())
    }
    assert len(knowing) == 1
    assert all("prefect server start" in command for command in knowing)
    assert database.password not in repr(server.flow_environment(instance))


def _restarted(instance: Instance, before: int) -> bool:
    container = find_container(connect(), instance, embedded.ROLE)
    return container is not None and container.attrs["State"]["Pid"] not in {0, before}
