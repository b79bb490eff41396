"""Azure's own command line, in an environment of its own: its packages fit beside none of ours.

It lies in the user's cache, once per machine and lock, and is installed when the first test needs it.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from deployments.local.cluster.kubernetes_binary import cache_folder
from flows.config.load import CHECKOUT
from tests.stand_ins.arm_store import ArmStore
from tests.stand_ins.entra import Entra

LOCK = CHECKOUT / "deployments" / "azure" / "requirements.txt"
PARSER = Path(__file__).with_name("azure_cli_parser.py")
OPERATOR = "operator"
"""The application that tests sign in as."""

QUIET = {
    "AZURE_CORE_COLLECT_TELEMETRY": "no",
    "AZURE_CORE_ERROR_RECOMMENDATION": "off",
    "AZURE_CORE_NO_COLOR": "yes",
    "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no",
}
"""az asks nothing of the internet by itself."""


@dataclass(frozen=True)
class AzureCli:
    """The programs in `folder`; `variables` say where az keeps its settings, and what it trusts."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """In which a program finds this `az`."""
        return {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", **QUIET, **self.variables}

    def run(self, *command: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        """A program in `environment`, ended; its standard input is the answer."""
        return subprocess.run(
            command,
            cwd=CHECKOUT,
            env=self.environment,
            input=answer,
            capture_output=True,
            text=True,
            check=False,
        )

    def in_cloud(self, arm: ArmStore, home: Path) -> "AzureCli":
        """With a home of its own, in a cloud that is that store and its directory."""
        variables = {"HOME": str(home), "AZURE_CONFIG_DIR": str(home / ".azure"), **arm.entra.variables}
        mine = AzureCli(self.folder, {**variables, "AZURE_CORE_INSTANCE_DISCOVERY": "false"})
        mine.succeed("cloud", "register", "--name", "StandIn", "--endpoint-resource-manager", arm.url)
        mine.succeed("cloud", "set", "--name", "StandIn")
        return mine

    def sign_in(self, entra: Entra, application: str = OPERATOR) -> None:
        """As that application, with a secret."""
        secret = entra.secrets.setdefault(application, "a secret of the test")
        self.succeed(
            "login", "--service-principal", "-u", application, "-p", secret, "--tenant", entra.tenant
        )

    def succeed(self, *words: str) -> None:
        """A line of az that must end well."""
        ended = self.run("az", *words)
        assert ended.returncode == 0, ended.stderr

    def complaints(self, lines: Sequence[Sequence[str]]) -> list[str | None]:
        """What az's own parser has against each of these command lines; None if it takes it.

        It is asked once for each line; the folder keeps its answers.
        """
        kept = self.folder / f"complaints-{hashlib.sha256(PARSER.read_bytes()).hexdigest()[:16]}.json"
        known: dict[str, str | None] = json.loads(kept.read_text()) if kept.exists() else {}
        written = [json.dumps(line) for line in lines]
        if new := sorted(set(written) - known.keys()):
            settings = {"AZURE_CONFIG_DIR": str(self.folder / "settings")}
            python = str(self.folder / "bin" / "python")
            ended = AzureCli(self.folder, settings).run(python, str(PARSER), answer=f"[{', '.join(new)}]")
            assert ended.returncode == 0, ended.stderr
            known |= zip(new, json.loads(ended.stdout), strict=True)
            beside = kept.with_suffix(f".{os.getpid()}")
            beside.write_text(json.dumps(known))
            beside.replace(kept)
        return [known[line] for line in written]


def installed() -> AzureCli | None:
    """The one of this lock, if this machine has it."""
    folder = _folder()
    return AzureCli(folder) if (folder / "complete").exists() else None


def ensure() -> AzureCli:
    """Installed by its lock, unless it is already: 370 MB."""
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            _install(folder)
    return AzureCli(folder)


def _install(folder: Path) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    index = {"UV_DEFAULT_INDEX": mirror} if (mirror := os.environ.get("PIP_INDEX_URL")) else {}
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", **index}
    python = str(folder / "bin" / "python")
    for command in (
        (uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)),
        (uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", str(LOCK)),
    ):
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    (folder / "complete").touch()


def _folder() -> Path:
    key = hashlib.sha256(f"{sys.version_info[:2]} {LOCK.read_text()}".encode()).hexdigest()[:16]
    return cache_folder() / f"azure-cli-{key}"
