"""A code half and a model half that a person wants together: the pair that a run of ci composes."""

from dataclasses import dataclass

from flows.core.build.content import BuildContent
from flows.core.errors import ReleaseRefused


@dataclass(frozen=True)
class Pair:
    """A commit, as a person names one, and a model's version."""

    commit: str
    model: str

    def __str__(self) -> str:
        return f"commit {self.commit[:12]} with model {self.model}"


def pair_of(environment: str, code: str, model: str, known: BuildContent | None, *, image: str) -> Pair:
    """The requested half with the other one of `known`: what the environment runs, or what `latest` names.

    `ReleaseRefused` where an image was named as well, or the other half is not known.
    """
    if image != "latest":
        raise ReleaseRefused(
            f"{environment}: an image ({image}) and a half of one were requested.",
            "Name the image, or the half.",
        )
    if known is None and not (code and model):
        raise ReleaseRefused(
            f"{environment}: nothing is live there and `latest` names nothing: the other half is not known.",
            "Name both the code and the model.",
        )
    return Pair(code or (known.commit if known else ""), model or (known.model.version if known else ""))
