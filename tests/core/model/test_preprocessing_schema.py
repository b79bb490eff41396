"""Manifests and slipway.toml take the preprocessing that the application's schema describes."""

import json
from typing import Any

from pydantic import TypeAdapter

from flows.config import schema
from flows.config.load import CHECKOUT
from flows.core.model.manifest import Preprocessing

FOR_PEOPLE = {"$schema", "title", "description", "default"}
SCHEMA = json.loads((CHECKOUT / "app" / "preprocessing.schema.json").read_text())


def rules(content: Any) -> Any:
    """What a JSON Schema demands, without its texts for people."""
    if isinstance(content, dict):
        return {key: rules(value) for key, value in content.items() if key not in FOR_PEOPLE}
    return [rules(part) for part in content] if isinstance(content, list) else content


def test_a_manifest_takes_what_the_application_takes() -> None:
    assert rules(TypeAdapter(Preprocessing).json_schema()) == rules(SCHEMA)


def test_slipway_toml_takes_the_same_values_and_may_leave_some_out() -> None:
    ours = rules(schema.Preprocessing.model_json_schema())
    assert ours["properties"] == rules(SCHEMA)["properties"]
    assert set(ours["required"]) < set(SCHEMA["required"])
