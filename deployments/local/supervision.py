"""Programs of the platform that run beside the containers, kept alive by supervisord.

supervisord is found through a socket that is this user's alone. Its identifier is a digest of everything it
was started with, so that a changed setting or package replaces it.
"""

import configparser
import hashlib
import io
import subprocess
import sys
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path

from supervisor.states import RUNNING_STATES, getProcessStateDescription
from supervisor.xmlrpc import Faults, SupervisorTransport

from deployments.local import control_socket
from deployments.local.instance import Instance
from deployments.local.processes import (
    MARK,
    STOP_TIMEOUT,
    belonging_to,
    command_of,
    listening_ports,
    terminate,
)
from flows.core.errors import PlatformFailed
from flows.services.process.files import private_folder, write_private

UMASK = "077"
"""What the programs and flow runs write is for this user alone."""


LOG_SIZE, LOG_BACKUPS = "10MB", "3"
"""Of each log: supervisord begins a new file at that size, and keeps so many of those before."""


@dataclass(frozen=True)
class Program:
    """What to keep running; `environment` is added to the variables that all programs get."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ProgramState:
    """How a program does: `state` is supervisord's word, RUNNING or FATAL for example."""

    name: str
    state: str
    pid: int
    description: str


def ensure(instance: Instance, programs: Sequence[Program], environment: Mapping[str, str]) -> None:
    """supervisord with exactly these programs and variables, none of which it starts by itself."""
    variables = {**environment, MARK: instance.name}
    identifier = _digest(instance, programs, variables)
    if _identifier(instance) == identifier:
        return
    end(instance)
    (private_folder(instance.state) / "logs").mkdir(exist_ok=True)
    file = instance.state / "supervisord.conf"
    content = io.StringIO()
    _configuration(instance, control_socket.create(instance.state), programs, identifier).write(content)
    write_private(file, content.getvalue().encode())
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(file)]
    started = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if started.returncode:
        raise PlatformFailed(f"supervisord does not start: {started.stdout}{started.stderr}".strip())


def start(instance: Instance, name: str) -> bool:
    """Have the program run; False if it does already."""
    try:
        with _connect(instance) as proxy:
            proxy.supervisor.startProcess(name)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == Faults.ALREADY_STARTED:
            return False
        log = log_file(instance, name)
        raise PlatformFailed(
            f"{name} does not start ({fault.faultString}).", f"Read {log}, then run this again."
        ) from fault
    return True


def states(instance: Instance) -> list[ProgramState]:
    """How the programs do; empty when no supervisord runs."""
    try:
        with _connect(instance) as proxy:
            found: list[dict[str, object]] = proxy.supervisor.getAllProcessInfo()  # type: ignore[assignment]  # XML-RPC
    except OSError:
        return []
    return [
        ProgramState(str(p["name"]), str(p["statename"]), int(str(p["pid"])), str(p["description"]))
        for p in found
    ]


def is_up(instance: Instance, name: str) -> bool:
    """Whether the program runs, or is being started, also again after it ended."""
    up = {getProcessStateDescription(state) for state in RUNNING_STATES}
    return any(program.name == name and program.state in up for program in states(instance))


def listens(instance: Instance, name: str, port: int) -> bool:
    """Whether it is the program that listens on the port, and not another one."""
    pid = next((program.pid for program in states(instance) if program.name == name), 0)
    return bool(pid) and port in listening_ports(pid)


def stop(instance: Instance, name: str) -> None:
    """End one program and what it started; it stays down."""
    if is_up(instance, name):
        with _connect(instance) as proxy:
            proxy.supervisor.stopProcess(name)


def end(instance: Instance) -> None:
    """End supervisord, its programs, and everything else that carries the instance's name."""
    for process in belonging_to(instance.name):
        if "supervisor.supervisord" in command_of(process):
            terminate([process])  # first, or it would start again what is ended
    terminate(belonging_to(instance.name))
    control_socket.remove(instance.state)


def log_file(instance: Instance, name: str) -> Path:
    """What the program printed."""
    return instance.state / "logs" / f"{name}.log"


def _configuration(
    instance: Instance, socket: Path, programs: Sequence[Program], identifier: str
) -> configparser.RawConfigParser:
    sections: dict[str, dict[str, str]] = {
        "supervisord": {
            "identifier": identifier,
            "logfile": str(log_file(instance, "supervisord")),
            "logfile_maxbytes": LOG_SIZE,
            "logfile_backups": LOG_BACKUPS,
            "pidfile": str(instance.state / "supervisord.pid"),
            "directory": str(instance.checkout),
            "umask": UMASK,
        },
        "unix_http_server": {"file": str(socket), "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    for program in programs:
        sections[f"program:{program.name}"] = {
            "command": " ".join(f'"{part}"' for part in program.command),
            "directory": str(instance.checkout),
            "environment": ",".join(f'{k}="{v}"' for k, v in program.environment.items()),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": "1",
            "startretries": "100",
            "stopwaitsecs": str(STOP_TIMEOUT - 5),
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(log_file(instance, program.name)),
            "stdout_logfile_maxbytes": LOG_SIZE,
            "stdout_logfile_backups": LOG_BACKUPS,
        }
    parser = configparser.RawConfigParser()
    parser.read_dict(
        {name: {key: _escaped(value) for key, value in s.items()} for name, s in sections.items()}
    )
    return parser


def _escaped(value: str) -> str:
    return value.replace("%", "%%")


def _digest(instance: Instance, programs: Sequence[Program], variables: Mapping[str, str]) -> str:
    settings = sorted((k, v) for k, v in variables.items() if k.startswith(("SLIPWAY_", "PREFECT_")))
    packages = sorted(str(path) + path.read_text() for path in Path(sys.prefix).glob("installed-*"))
    made_from = repr((str(instance.checkout), [astuple(program) for program in programs], settings, packages))
    return hashlib.sha256(made_from.encode()).hexdigest()[:16]


def _connect(instance: Instance) -> xmlrpc.client.ServerProxy:
    transport = SupervisorTransport(None, None, f"unix://{control_socket.find(instance.state)}")
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)


def _identifier(instance: Instance) -> str | None:
    try:
        with _connect(instance) as proxy:
            return str(proxy.supervisor.getIdentification())
    except OSError:
        return None
