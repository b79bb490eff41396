"""The database of the platform's Prefect server: Debian's PostgreSQL in a container, with a password."""

import asyncio
import secrets
from dataclasses import dataclass, field

import docker

from deployments.local.docker.engine import Container, ensure_container
from deployments.local.instance import Instance
from deployments.local.progress import Say
from deployments.local.wait import wait_until
from flows.services.process.files import write_private

ROLE = "database"
NAME = "prefect"
"""Of the database, and of the user that owns it."""

START_TIMEOUT = 60
QUERY_TIMEOUT = 5


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
            return bool(await connection.fetchval("SELECT true", timeout=QUERY_TIMEOUT))
        finally:
            await connection.close(timeout=QUERY_TIMEOUT)

    try:
        return asyncio.run(ask())
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
