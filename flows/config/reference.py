"""docs/configuration.md, made from the schema: `python -m flows.config.reference` writes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.config.load import CHECKOUT, Settings

PAGE = CHECKOUT / "docs" / "configuration.md"

_INTRODUCTION = """# Configuration

Every key of slipway.toml. `python -m flows.config.reference` writes this page from `flows/config/schema.py`.

Slipway reads slipway.toml (SLIPWAY_CONFIG names another file), then `platform.toml` in the state folder
(SLIPWAY_STATE, `.slipway` by default), which `make run` writes, then variables. Later sources win. The name
of a variable is the path of the key with two underscores: `SLIPWAY_REGISTRY__ADDRESS=myteam.azurecr.io`.
Slipway refuses a wrong key or value and says what is allowed. Keys that name a block expect a Prefect block;
no file contains a secret.
"""

_RANGES = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def page() -> str:
    """The page's text: one section for each table, one row for each key."""
    schema = Settings.model_json_schema(mode="validation")
    return "\n".join([_INTRODUCTION, *_sections("", schema, schema["$defs"])])


def _sections(path: str, table: dict[str, Any], known: dict[str, Any]) -> Iterator[str]:
    rows, tables = [], []
    for key, value in table["properties"].items():
        place = f"{path}.{key}".lstrip(".")
        if name := _table_name(value) or _table_name(value.get("items", {})):
            tables.append((place, known[name]))
        elif values := value.get("additionalProperties") or next(
            iter(value.get("patternProperties", {}).values()), None
        ):
            tables.append((f"{place}.<name>", known[_table_name(values)]))
        else:
            rows.append(_row(key, value, key in table.get("required", ())))
    if rows:
        yield f"## [{path}]\n\n{_sentence(table['description'])}\n" if path else "## Above all tables\n"
        yield "| key | type | default | meaning |\n|---|---|---|---|"
        yield "\n".join(rows) + "\n"
    for place, inner in tables:
        yield from _sections(place, inner, known)


def _table_name(value: dict[str, Any]) -> str:
    references = [value, *value.get("anyOf", ()), *value.get("allOf", ())]
    return next((choice["$ref"].rpartition("/")[2] for choice in references if "$ref" in choice), "")


def _row(key: str, value: dict[str, Any], required: bool) -> str:
    default = "required" if required else _default(value.get("default"))
    return f"| `{key}` | {_type(value)} | {default} | {_sentence(value['description'])} |"


def _default(value: object) -> str:
    return "not set" if value is None else f"`{json.dumps(value)}`"


def _type(value: dict[str, Any]) -> str:
    if "anyOf" in value:
        names = dict.fromkeys(_type(choice) for choice in value["anyOf"] if choice.get("type") != "null")
        return " or ".join(names)
    if "enum" in value:
        return ", ".join(f'`"{choice}"`' for choice in value["enum"])
    if value["type"] == "array":
        return f"list of {_type(value['items'])}"
    ranges = " and ".join(f"{sign} {value[key]:g}" for key, sign in _RANGES.items() if key in value)
    kind = {"path": "path", "ipv4": "IPv4 address", "ipv6": "IPv6 address", "ipvanynetwork": "network"}.get(
        value.get("format", ""), value["type"]
    )
    return f"{kind} {ranges}".strip()


def _sentence(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def write(file: Path = PAGE) -> None:
    """Write the page."""
    file.write_text(page())


if __name__ == "__main__":
    write()
