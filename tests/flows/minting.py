"""Good images without a build: the one that a real run of ci built, under another capsule and commit.

They are real: their pods answer /version with their own capsule, which the app reads from its environment.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import httpx

from flows.core.build.capsule import Capsule
from flows.core.build.commit import Commit
from flows.core.build.image import Image
from flows.core.build.latest import BASE_DIGEST, LatestPointer
from flows.core.build.trust import Trust
from flows.core.model.model import Model
from flows.services.process.tls import NO_TLS
from flows.services.registry.client import Registry


@dataclass(frozen=True)
class BaseImage:
    """What a run of ci pushed, and where to."""

    registry: Registry
    capsule: str


def new_capsule() -> Capsule:
    """One that no image has."""
    return Capsule(*(hashlib.sha256(uuid.uuid4().bytes).hexdigest() for _ in range(3)))


def mint(
    base: BaseImage, registry: Registry, commit: Commit, model: Model, variables: Mapping[str, str]
) -> LatestPointer:
    """Put an image with the base's layers, its own capsule and these variables into the registry.

    `latest` names it then, as after a run of ci on the released branch.
    """
    capsule = new_capsule()
    named = {"CAPSULE": capsule.hash, "COMMIT": commit.sha, **variables}
    labels = {
        "org.opencontainers.image.revision": commit.sha,
        **capsule.labels,
        "org.opencontainers.image.created": commit.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "dev.slipway.model": model.name,
        "dev.slipway.model.version": model.version,
        "dev.slipway.model.digest": model.digest,
    }
    original = base.registry.manifest(base.capsule)
    base_digest = base.registry.labels(base.registry.image(base.capsule))[BASE_DIGEST]
    with _client(registry) as client:
        for layer in original.content["layers"]:
            mounted = {"mount": layer["digest"], "from": base.registry.repository}
            answer = client.post(f"{registry.repository}/blobs/uploads/", params=mounted)
            assert answer.status_code == httpx.codes.CREATED, answer.text
        found = client.get(f"{base.registry.repository}/blobs/{original.content['config']['digest']}")
        config = json.dumps(_configured(found.raise_for_status().json(), named, labels)).encode()
        place = client.post(f"{registry.repository}/blobs/uploads/").raise_for_status().headers["location"]
        digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        upload = httpx.URL(place).copy_merge_params({"digest": digest})
        client.put(upload, content=config).raise_for_status()
        descriptor = {**original.content["config"], "digest": digest, "size": len(config)}
        manifest = json.dumps({**original.content, "config": descriptor}).encode()
        tag = capsule.tag_for(Trust.RELEASED)
        registry.attach(tag, base.registry.attached(base.capsule))
        kind = {"Content-Type": original.media_type}
        client.put(
            f"{registry.repository}/manifests/{tag}", content=manifest, headers=kind
        ).raise_for_status()
    image = Image(registry.name, f"sha256:{hashlib.sha256(manifest).hexdigest()}")
    pointer = LatestPointer.to(image, commit, model, base_digest, capsule, run="")
    registry.move(pointer)
    return pointer


def _configured(config: dict[str, Any], variables: Mapping[str, str], labels: Mapping[str, str]) -> Any:
    """The image's configuration with those variables and labels, and the rest as before."""
    inner = config["config"]
    kept = [entry for entry in inner["Env"] if entry.partition("=")[0] not in variables]
    environment = [*kept, *(f"{name}={value}" for name, value in variables.items())]
    return {**config, "config": {**inner, "Env": environment, "Labels": {**inner["Labels"], **labels}}}


def _client(registry: Registry) -> httpx.Client:
    """Signed in, for paths below /v2 of a registry on loopback."""
    known = registry.login()
    assert known
    login = (known.username, known.password)
    return httpx.Client(base_url=f"http://{registry.address}/v2/", auth=login, trust_env=False, verify=NO_TLS)
