"""The database of the platform's Prefect server: Debian's PostgreSQL in a container, with a password."""

import asyncio
import secrets
import tarfile
from dataclasses import dataclass, field
from io import BytesIO

import docker
from docker.models.containers import Container as DockerContainer

from deployments.local.docker.engine import Container, ensure_container, find_container
from deployments.local.instance import Instance
from deployments.local.progress import Say
from deployments.local.wait import wait_until
from flows.core.errors import PlatformFailed
from flows.services.process.files import write_private

ROLE = "database"
NAME = "prefect"
"""Of the database, and of the user that owns it."""

START_TIMEOUT = 60
QUERY_TIMEOUT = 5

ARCHIVE = "prefect.dump"


@dataclass(frozen=True)
class DatabaseAccess:
    """A database of a PostgreSQL server on this machine, and the password of its owner."""

    port: int
    password: str = field(repr=False)

    @property
    def address(self) -> str:
        """Host, port and database, for people."""
        return f"127.0.0.1:{self.port}/{NAME}"

    @property
    def connection_url(self) -> str:
        """All of it in the form that Prefect's server takes."""
        return f"postgresql+asyncpg://{NAME}:{self.password}@{self.address}"


def up(client: docker.DockerClient, instance: Instance, image: str, _say: Say) -> DatabaseAccess:
    """The running database once it answers a query; its data survive in a volume."""
    access = ensure_access(instance)
    password = instance.state / "database" / "password"
    ensure_container(
        client,
        instance,
        Container(
            role=ROLE,
            image=image,
            volumes={ROLE: "/data"},
            mounts={str(password): "/run/database/password"},
            ports={5432: access.port},
            restarts=True,
        ),
    )
    wait_until(
        lambda: answers(access),
        START_TIMEOUT,
        f"The database at {access.address} does not answer a query",
        f"Read its log (docker logs {instance.container(ROLE)}), then run this again.",
    )
    return access


def ensure_access(instance: Instance) -> DatabaseAccess:
    """The address, and the password, which is made the first time."""
    file = instance.state / "database" / "password"
    if not file.exists():
        write_private(file, secrets.token_urlsafe(24).encode())
    return DatabaseAccess(instance.ports.database_port, file.read_text())


def answers(access: DatabaseAccess) -> bool:
    """Whether it lets the owner in and answers a query."""
    import asyncpg  # noqa: PLC0415  # a tenth of a second that only this step pays

    try:
        return _query(access, "SELECT true")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


def is_empty(access: DatabaseAccess) -> bool:
    """Whether Prefect's server has made no tables in it yet."""
    return _query(access, "SELECT to_regclass('public.flow_run') IS NULL")


def dump(client: docker.DockerClient, instance: Instance) -> bytes:
    """All of the database as pg_dump's archive, as it was at one moment."""
    return _in_container(client, instance, "pg_dump", "--format=custom", f"--dbname={NAME}")


def load(client: docker.DockerClient, instance: Instance, archive: bytes) -> None:
    """Fill the empty database with what `dump` gave."""
    container = _container(client, instance)
    with BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as files:
            entry = tarfile.TarInfo(ARCHIVE)
            entry.size, entry.mode = len(archive), 0o600
            files.addfile(entry, BytesIO(archive))
        container.put_archive("/tmp", packed.getvalue())  # noqa: S108  # in the container
    try:
        options = ("--exit-on-error", "--single-transaction", f"--dbname={NAME}")
        _in_container(client, instance, "pg_restore", *options, f"/tmp/{ARCHIVE}")  # noqa: S108  # in the container
    finally:
        container.exec_run(["rm", f"/tmp/{ARCHIVE}"])  # noqa: S108  # in the container


def _in_container(client: docker.DockerClient, instance: Instance, program: str, *options: str) -> bytes:
    """What PostgreSQL's program prints; it is let in through the socket, without a password."""
    command = [f"/usr/lib/postgresql/15/bin/{program}", "--host=/tmp", f"--username={NAME}", *options]
    ended = _container(client, instance).exec_run(command, demux=True)
    output: bytes | None
    errors: bytes | None
    output, errors = ended.output  # type: ignore[assignment]  # the stubs do not know of demux
    if ended.exit_code:
        raise PlatformFailed(f"{program} failed: {(errors or b'').decode(errors='replace').strip()}.")
    return output or b""


def _container(client: docker.DockerClient, instance: Instance) -> DockerContainer:
    container = find_container(client, instance, ROLE)
    if container is None or container.status != "running":
        raise PlatformFailed(f"The database of {instance.name} does not run.", "Run: make run")
    return container


def _query(access: DatabaseAccess, question: str) -> bool:
    import asyncpg  # noqa: PLC0415  # as above

    async def ask() -> bool:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=access.port,
            user=NAME,
            password=access.password,
            database=NAME,
            timeout=QUERY_TIMEOUT,
        )
        try:
            return bool(await connection.fetchval(question, timeout=QUERY_TIMEOUT))
        finally:
            await connection.close(timeout=QUERY_TIMEOUT)

    return asyncio.run(ask())
