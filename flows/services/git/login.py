"""How git signs in to a repository: with a token over HTTP, or with a deploy key over SSH.

Token and key are asked for at each use, because a run may wait longer than they are valid.
"""

import shlex
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from flows.core.errors import CredentialsRefused
from flows.services.process.files import write_private
from flows.services.process.temporary import temporary_folder

OPENSSH = "-----BEGIN OPENSSH"
USER = "slipway"
"""Any user name will do beside a token, at GitHub as at Azure Repos."""

SSH = (
    *("ssh", "-F", "/dev/null"),  # no user's configuration counts, nor another key or agent
    *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"),
    *("-o", "StrictHostKeyChecking=yes", "-o", "GlobalKnownHostsFile=/dev/null"),
    *("-o", "UpdateHostKeys=no", "-o", "ConnectTimeout=20"),
)


@dataclass(frozen=True)
class HttpLogin:
    """`token` gives the token of now. Entra ID's are sent as "Bearer", all others as the password of "Basic".
    `if_refused` says what to do where the host does not take it.

    https://learn.microsoft.com/azure/devops/repos/git/auth-overview
    """

    token: Callable[[], str] = field(repr=False)
    scheme: Literal["Basic", "Bearer"] = "Basic"
    if_refused: str = ""

    def value(self) -> str:
        """The token of now, without the line break that a form may have added."""
        return self.token().strip()

    def authorization(self) -> str:
        """The value of the header Authorization."""
        token = self.value()
        if self.scheme == "Bearer":
            return f"Bearer {token}"
        return f"Basic {b64encode(f'{USER}:{token}'.encode()).decode()}"


@dataclass(frozen=True)
class DeployKey:
    """`key` gives the private key; `known_hosts` are the lines of the only hosts that are known (sshd(8))."""

    key: Callable[[], str] = field(repr=False)
    known_hosts: tuple[str, ...]

    @contextmanager
    def ssh(self) -> Iterator[str]:
        """The command that git starts as ssh. Until the end, the key is in a file for this user alone."""
        with temporary_folder("ssh") as folder:
            key, hosts = folder / "key", folder / "known_hosts"
            write_private(key, mended(self.key()))
            write_private(hosts, "".join(f"{line}\n" for line in self.known_hosts))
            yield shlex.join((*SSH, "-i", str(key), "-o", f"UserKnownHostsFile={hosts}"))


GitLogin = HttpLogin | DeployKey


def mended(key: str) -> str:
    """The private key as ssh reads it: pasting may have changed its line ends, or lost the last one.

    `CredentialsRefused` where it is no private key, or has a passphrase: ssh would not report either.
    """
    lines = [line.strip() for line in key.strip().splitlines()]
    text = "".join(f"{line}\n" for line in lines)
    load = load_ssh_private_key if text.startswith(OPENSSH) else load_pem_private_key
    try:
        load(text.encode(), None)
    except TypeError:
        wrong = "has a passphrase, and git can't ask for it"
    except (ValueError, UnsupportedAlgorithm):
        wrong = "is no private key, or part of it is missing"
    else:
        return text
    raise CredentialsRefused(  # outside of the handlers: what was raised there may quote the key
        f"What the Secret block of the deploy key holds {wrong}.",
        "Save the whole file there that ssh-keygen wrote, for a key without a passphrase.",
    )
