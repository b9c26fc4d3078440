"""Where Kafka, Flink, PostgreSQL and the object store are: option, environment, the local stack's file, or default."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULTS = {
    "kafka": "localhost:9092",
    "flink": "http://localhost:8081",
    "postgres": "postgresql://postgres@localhost:5432/postgres",
    "objects": "https://storage.googleapis.com",
}


@dataclass(frozen=True)
class Endpoints:
    """Addresses, and for each where it was found (`option`, `environment`, `local stack` or `default`)."""

    kafka: str
    flink: str
    postgres: str
    objects: str
    origin: dict[str, str]


def home() -> Path:
    """The run folder of the local stack: FLORIN_HOME, else `.florin` in the current folder."""
    return Path(os.environ.get("FLORIN_HOME", ".florin")).absolute()


def resolve(
    kafka: str | None = None, flink: str | None = None, postgres: str | None = None, objects: str | None = None
) -> Endpoints:
    """Find every address; arguments are what the user gave as options.

    Raises ValueError if the local stack's file is damaged.
    """
    options = {"kafka": kafka, "flink": flink, "postgres": postgres, "objects": objects}
    stack = _stack()
    found: dict[str, str] = {}
    origin: dict[str, str] = {}
    for name, default in DEFAULTS.items():
        for source, value in (
            ("option", options[name]),
            ("environment", os.environ.get(f"FLORIN_{name.upper()}")),
            ("local stack", stack.get(name)),
            ("default", default),
        ):
            if value:
                found[name], origin[name] = value, source
                break
    return Endpoints(found["kafka"], found["flink"], found["postgres"], found["objects"], origin)


def _stack() -> dict[str, str]:
    path = home() / "stack.json"
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path} is not readable JSON ({error}); `python -m flink up` writes it anew") from error
    return {name: value for name, value in content.items() if name in DEFAULTS and isinstance(value, str)}
