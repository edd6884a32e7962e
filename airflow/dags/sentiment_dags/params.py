"""A DAG's Params: one of the same name for every Variable that it heeds, empty by default."""

import dataclasses
from typing import Any

from airflow.sdk import Param
from sentiment_dags.settings import Settings

TYPES = ["string", "boolean", "number", "array", "object", "null"]


def params(*names: str) -> dict[str, Any]:
    """Params for these Variables; an empty one means the Variable, an empty Variable its default."""
    known = {each.name: each.metadata for each in dataclasses.fields(Settings)}
    return {
        name: Param("", type=TYPES, title=name, description=_description(known[name]), section="Instead of Variables")
        for name in names
    }


def _description(metadata: Any) -> str:
    default = f"; default: {metadata['default']}" if metadata["default"] else ""
    return f"{metadata['meaning']} (want {metadata['wanted']}{default})"
