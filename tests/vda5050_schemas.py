"""The official JSON schemas of VDA 5050 2.1.0, where they lie beside the working tree."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

SCHEMAS = Path(__file__).resolve().parents[2] / "shared" / "data" / "vda5050" / "2.1.0"


@cache
def _schema(topic: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{topic}.schema").read_text(encoding="utf-8"))
    return schema


def have_schemas() -> bool:
    """Whether the schemas are there."""
    return SCHEMAS.is_dir()


needs_schemas = pytest.mark.skipif(
    not have_schemas(),
    reason="the official VDA 5050 schemas are not beside the working tree: OUTGOING MESSAGES NOT CHECKED",
)


def schema_errors(topic: str, message: Any) -> list[str]:
    """Return where a message breaks the schema of its topic, and undefined fields, which it allows."""
    schema = _schema(topic)
    validator = jsonschema.Draft202012Validator(schema)
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(message)]
    return errors + [f"{name}: no such field" for name in message if name not in schema["properties"]]
