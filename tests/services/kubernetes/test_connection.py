"""Keys, tokens and certificates of a kubeconfig are on no disk but in that kubeconfig."""

import json
import signal
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import CERT_REQUIRED
from typing import Any

import pytest
import yaml

from deployments.local.cluster.certificates import Subject, ensure_authority
from flows.core.errors import SettingsError
from flows.services.kubernetes.api import KubernetesApi
from flows.services.kubernetes.kubeconfig import access, server_of
from tests.stand_ins.http_server import JsonHandler, serving
from tests.stand_ins.own_certificate import own_certificate

VERSION = {"major": "1", "minor": "33"}

ASK_AND_DIE = """
import os, signal, sys
from pathlib import Path
from flows.services.kubernetes.api import KubernetesApi
assert KubernetesApi(Path(sys.argv[1]), "here").get("/version")
os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass
class Server:
    """A server that asks for a client's certificate, and what it was asked with."""

    address: str
    authority: bytes
    folder: Path
    names: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def cluster(self) -> dict[str, str]:
        return {"server": self.address, "certificate-authority-data": b64encode(self.authority).decode()}

    def kubeconfig(self, user: dict[str, Any], cluster: dict[str, str] | None = None) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "c", "cluster": cluster or self.cluster()}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        }

    def file(self, user: dict[str, Any], cluster: dict[str, str] | None = None) -> Path:
        file = self.folder / "kubeconfig"
        file.write_text(yaml.safe_dump(self.kubeconfig(user, cluster)))
        return file

    def pem(self, part: str) -> bytes:
        return (self.folder / f"administrator.{part}").read_bytes()

    def inline(self) -> dict[str, str]:
        return {
            "client-certificate-data": b64encode(self.pem("crt")).decode(),
            "client-key-data": b64encode(self.pem("key")).decode(),
        }


@contextmanager
def asking_for_certificates(folder: Path, temporary: Path) -> Iterator[Server]:
    issuer, own = ensure_authority(folder), own_certificate()
    issuer.ensure(folder, "administrator", Subject("administrator"))
    own.server.load_verify_locations(cadata=issuer.certificate.decode())
    own.server.verify_mode = CERT_REQUIRED

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            certificate: Any = self.connection.getpeercert()
            found.names += [value for part in certificate["subject"] for _, value in part]
            found.tokens.append(self.headers["Authorization"])
            found_meanwhile.extend(temporary.rglob("*"))
            self.answer(200, VERSION)

    found_meanwhile: list[Path] = []
    with serving(Handler, own.server) as address:
        found = Server(address, own.authority, folder)
        yield found
    assert not [path for path in found_meanwhile if path.is_file()]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def server(tmp_path: Path, temporary: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    with asking_for_certificates(folder, temporary) as found:
        yield found


def test_a_key_in_a_kubeconfig_lets_in_and_is_written_nowhere(server: Server, temporary: Path) -> None:
    file = server.file(server.inline())
    assert KubernetesApi(file, "here").get("/version") == VERSION
    assert server.names == ["administrator"]
    assert list(temporary.iterdir()) == []
    assert yaml.safe_load(file.read_text()) == server.kubeconfig(server.inline())


def test_files_that_a_kubeconfig_names_are_used_in_their_place(server: Server, temporary: Path) -> None:
    (server.folder / "server.crt").write_bytes(server.authority)
    cluster = {"server": server.address, "certificate-authority": "server.crt"}
    user = {"client-certificate": "administrator.crt", "client-key": "administrator.key"}
    assert KubernetesApi(server.file(user, cluster), "here").get("/version") == VERSION
    assert list(temporary.iterdir()) == []


def test_a_certificate_that_a_plugin_gives_is_deleted_once_it_is_read(
    server: Server, temporary: Path
) -> None:
    status = {
        "clientCertificateData": server.pem("crt").decode(),
        "clientKeyData": server.pem("key").decode(),
    }
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    (server.folder / "answer.json").write_text(json.dumps(answer))
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "cat",
        "args": [str(server.folder / "answer.json")],
        "interactiveMode": "Never",
    }
    assert KubernetesApi(server.file({"exec": plugin}), "here").get("/version") == VERSION
    assert server.names == ["administrator"]
    assert list(temporary.iterdir()) == []


def test_the_account_of_a_block_is_let_in_by_its_token(tmp_path: Path, temporary: Path) -> None:
    own, tokens = own_certificate(), []

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            tokens.append(self.headers["Authorization"])
            self.answer(200, VERSION)

    with serving(Handler, own.server) as address:
        content = Server(address, own.authority, tmp_path).kubeconfig({"token": "s3cret"})
        account = access(yaml.safe_dump(content), "a-block")
        assert KubernetesApi(account, account.context).get("/version") == VERSION
    assert tokens == ["Bearer s3cret"]
    assert list(temporary.iterdir()) == []


def test_another_authority_than_the_kubeconfigs_is_not_trusted(server: Server) -> None:
    other = {
        **server.cluster(),
        "certificate-authority-data": b64encode(own_certificate().authority).decode(),
    }
    with pytest.raises(SettingsError, match="cluster 'here' is not trusted"):
        KubernetesApi(server.file(server.inline(), other), "here").get("/version")


@pytest.mark.parametrize("command", ["no-such-kubelogin", "bin/no-such-kubelogin", "/no/such/kubelogin"])
def test_a_program_that_is_not_installed_is_named_before_anything_is_asked(
    server: Server, command: str
) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": command}
    with pytest.raises(SettingsError, match=f"the program {command}, which is not installed") as missing:
        KubernetesApi(server.file({"exec": plugin}), "here").get("/version")
    assert f"Install {command}" in missing.value.remedy
    assert server.tokens == []


def test_a_program_beside_the_kubeconfig_is_found(server: Server) -> None:
    program = server.folder / "plugin"
    status = {"token": "of the plugin"}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    program.chmod(0o700)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}
    user = {"exec": {**plugin, "interactiveMode": "Never"}, **server.inline()}
    assert KubernetesApi(server.file(user), "here").get("/version") == VERSION
    assert server.tokens == ["Bearer of the plugin"]


def test_without_the_programs_credentials_nothing_is_asked(server: Server) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "false", "interactiveMode": "Never"}
    with pytest.raises(SettingsError, match="the program false, which gives no credentials"):
        KubernetesApi(server.file({"exec": plugin}), "here").get("/version")
    assert server.tokens == []


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (
            {"client-certificate-data": "s3cret!", "client-key-data": "s3cret!"},
            "client-certificate-data is no",
        ),
        ({"client-certificate": "nowhere.crt"}, "File does not exist"),
        ("no table", "AttributeError"),
    ],
)
def test_an_unusable_kubeconfig_is_a_wrong_setting(server: Server, user: Any, reason: str) -> None:
    with pytest.raises(SettingsError, match=rf"no usable context 'here': {reason}") as wrong:
        KubernetesApi(server.file(user), "here").get("/version")
    assert "s3cret" not in str(wrong.value)


@pytest.mark.parametrize("content", ["", "s3cret", "{", "contexts: 1", "contexts: []"])
def test_a_file_that_is_no_kubeconfig_is_a_wrong_setting(tmp_path: Path, content: str) -> None:
    (tmp_path / "kubeconfig").write_text(content)
    with pytest.raises(SettingsError, match="no usable context 'here'"):
        KubernetesApi(tmp_path / "kubeconfig", "here").get("/version")
    with pytest.raises(SettingsError, match="no usable context 'here'"):
        KubernetesApi(tmp_path / "nowhere", "here").get("/version")
    for file in ("kubeconfig", "nowhere"):
        with pytest.raises(SettingsError, match="no usable context 'here'"):
            server_of(tmp_path / file, "here")


def test_an_authority_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    content = {
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://s", "certificate-authority": "gone.crt"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    with pytest.raises(SettingsError, match=r"'here': .*/gone\.crt: No such file"):
        server_of(tmp_path / "kubeconfig", "here")


def test_a_killed_process_leaves_nothing(server: Server, temporary: Path) -> None:
    file = server.file(server.inline())
    command = [sys.executable, "-c", ASK_AND_DIE, str(file)]
    done = subprocess.run(command, env={"TMPDIR": str(temporary)}, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert server.names == ["administrator"]
    assert list(temporary.iterdir()) == []
