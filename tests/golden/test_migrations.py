"""A migration that a release has applied is never changed: databases that have it would keep what it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.golden.upgrades.kept import FOLDER
from transforms.read_model import schema as read_model
from transforms.subledger_db import schema as subledger

pytestmark = pytest.mark.golden
FILE = FOLDER / "migrations.json"


def current() -> dict[str, str]:
    """SHA-256 by file."""
    folders: list[Path] = [read_model.MIGRATIONS, subledger.MIGRATIONS]
    return {
        f"{folder.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in sorted(folder.glob("*.sql"))
    }


def test_released_migrations_are_as_they_were() -> None:
    found = current()
    for name, digest in json.loads(FILE.read_text(encoding="utf-8")).items():
        assert found.get(name) == digest, (
            f"transforms/{name.replace('/', '/migrations/')} changed after a release had applied it: tables made "
            "before keep what it was, and no start changes them. Give it back, and write the change as a new migration"
        )


def test_every_migration_is_kept() -> None:
    assert json.loads(FILE.read_text(encoding="utf-8")) == current(), (
        "a new migration: `python -m tests.golden.test_migrations` before its release, so that it is not changed after"
    )


if __name__ == "__main__":
    FILE.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
