"""What is live, as a release that closes writes it for the duels of CI: CI has no access to clusters."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows.core.errors import PermanentError
from flows.core.model.names import Digest
from flows.core.text import validation_message


@dataclass(frozen=True)
class LiveImage:
    """The image that was deployed last in an environment, by digest, and its capsule."""

    digest: str
    capsule: str

    def to_json(self) -> str:
        """The value of the variable."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, value: str, *, name: str) -> Self:
        """Read back what `to_json` wrote; `PermanentError` names the variable when it is something else."""
        try:
            return cls(**_Value.model_validate_json(value).model_dump())
        except ValidationError as error:
            raise PermanentError(
                f"The Prefect variable {name} names no image: {validation_message(error)}.",
                "Delete it; the next release writes it again.",
            ) from error


class _Value(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    digest: Digest
    capsule: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def variable_of(environment: str) -> str:
    """The name of the Prefect variable of that environment; such names have no dashes."""
    return f"slipway_live_{environment.replace('-', '_')}"
