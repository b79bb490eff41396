"""A team as tests of its pipeline see it: a repository, a model, and what is in the registry."""

import json
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from flows.config import load as configuration
from flows.core.build.capsule import ATTACHED
from flows.core.build.latest import LatestPointer
from flows.core.model.model import Model
from flows.credentials.source import CredentialSource
from flows.services.models.model_check import describe
from flows.services.models.model_store import ModelStore
from flows.services.registry.client import Registry

TEAM_APP = Path(__file__).parent / "team_app"
MODELS = Path(__file__).parent.parent / "app" / "models"


@dataclass(frozen=True)
class Team:
    """Their repository, the name of their model, and the way into registry and store."""

    repository: Path
    model: str
    credentials: CredentialSource
    cache: Path

    def begin(self) -> None:
        """Make the repository one with a good commit, and publish a model."""
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.org")
        self.commit("The app")
        self.publish("1.0.0")

    def git(self, *arguments: str) -> str:
        """What git says in the team's repository."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, subject: str = "A change", **behaviour: str) -> str:
        """Commit an app that behaves so; its SHA."""
        content = {"app": "good", "where": "", "tests": "pass", "nonce": uuid.uuid4().hex, **behaviour}
        (self.repository / "behaviour.json").write_text(json.dumps(content))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)
        return self.git("rev-parse", "HEAD")

    def publish(self, version: str, name: str = "digits") -> Model:
        """Publish a model that is small enough for a test."""
        file = MODELS / name / "model.onnx"
        described = describe(file, file.with_name("manifest.json"), name=self.model, version=version)
        return self.models.publish(file, described).model

    @property
    def models(self) -> ModelStore:
        """The store that the team publishes to."""
        return ModelStore(self.credentials.blob_store(configuration.load().model), self.cache)

    @property
    def registry(self) -> Registry:
        """Where the team's images go."""
        settings = configuration.load()
        wanted = settings.registry
        login = self.credentials.registry_login(wanted, settings.azure)
        return Registry(wanted.address, wanted.repository, login, wanted.insecure)

    def tags(self) -> list[str]:
        """Every tag in the team's repository."""
        return self.registry.tags()

    def image_tags(self) -> list[str]:
        """Those of images; a model's manifest is kept before the image that it belongs to is pushed."""
        return [tag for tag in self.tags() if not tag.endswith(ATTACHED)]

    @property
    def latest(self) -> LatestPointer | None:
        """What `latest` says now."""
        return self.registry.pointer()
