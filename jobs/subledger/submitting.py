"""From a manifest or file names to a submission: files are found and named exactly before anything is queued."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from florin_io.objects import Found, ObjectStore
from florin_io.postgres import Connection
from transforms.subledger.fields import SOURCE
from transforms.subledger_db import books, requests
from transforms.subledger_db.model import LedgerError
from transforms.subledger_db.requests import Submission

_INDEX = ".idx"
_COMPRESSIONS = ("zstd-frames", "zstd", "gzip", "none")
_KINDS = {int: "a whole number", str: "a text"}
_WILD = re.compile(r"[*?\[]")


def submission(
    connection: Connection, store: ObjectStore, told: Mapping[str, Any], *, key: str | None = None,
    schedule_id: int | None = None,
) -> Submission:  # fmt: skip
    """What a command or a schedule asks for, with every file found.

    `told`: tenant, entity, source, manifest or files (names and patterns), supplied, rules, options, max_attempts.
    Raises LedgerError, FileNotFoundError, ObjectStoreError.
    """
    told = {name: value for name, value in told.items() if value not in (None, (), [], {})}
    if ("manifest" in told) == ("files" in told):
        raise LedgerError("give either the files, or a manifest that lists them")
    if "manifest" in told:
        told = {**_of_manifest(connection, store, told["manifest"], told), **told}
    for name in ("tenant", "entity"):
        if name not in told:
            raise LedgerError(f"which {name}? give --{name}, or a manifest that names it")
    files = told["listed"] if "listed" in told else find_files(store, told["files"])
    supplied = told.get("supplied")
    if supplied is not None:
        supplied = absolute(supplied)
        store.find(supplied)
    return Submission(
        told["tenant"], told["entity"], told.get("source", SOURCE), files, supplied, dict(told.get("options", {})),
        key, told.get("rules"), max_attempts=int(told.get("max_attempts", 5)), schedule_id=schedule_id,
    )  # fmt: skip


def at_time(told: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """A schedule's template with %Y, %m, %d, %H, %M in its file names filled in."""
    filled = dict(told)
    for name in ("manifest", "supplied"):
        if filled.get(name):
            filled[name] = at.strftime(filled[name])
    if filled.get("files"):
        filled["files"] = [at.strftime(name) for name in filled["files"]]
    return filled


def absolute(name: str) -> str:
    """A name that means the same to every process."""
    return name if "://" in name else str(Path(name).absolute())


def find_files(store: ObjectStore, names: Sequence[str]) -> list[dict[str, Any]]:
    """Every file of these names and patterns (*, ?, [...]), as a request keeps them. Raises FileNotFoundError."""
    found: list[Found] = []
    for name in map(absolute, names):
        wild = _WILD.search(name)
        if wild is None:
            found.append(store.find(name))
            continue
        matching = [
            one
            for one in store.listing(name[: wild.start()])
            if fnmatch.fnmatchcase(one.url, name) and not one.url.endswith(_INDEX)
        ]
        if not matching:
            raise FileNotFoundError(f"{name}: no file is called so")
        found += matching
    return [_file(one) for one in dict.fromkeys(found)]


def _file(found: Found) -> dict[str, Any]:
    """A local file is known by its sha256, an object by its generation: a replaced one is another request."""
    if found.generation:
        return {"name": found.url, "size": found.size, "generation": found.generation}
    with open(found.url, "rb") as file:
        return {"name": found.url, "size": found.size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _of_manifest(connection: Connection, store: ObjectStore, url: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says. Raises LedgerError if it is none, or if the entity's books are set up otherwise."""
    url = absolute(url)
    try:
        content = json.loads(store.read(url))
        if content["format"] != 1:
            raise LedgerError(f"{url}: format {content['format']!r}; this program knows 1")
        folder = url.rpartition("/")[0]
        listed = [_listed(store, url, folder, one) for one in content["files"]]
        if not listed:
            raise LedgerError(f"{url} lists no files")
        balances = content.get("balances")
        supplied = balances and _in_folder(folder, balances["name"])
        named = {name: content[name] for name in ("tenant", "entity", "source") if name in content}
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, LedgerError):  # which is a ValueError
            raise
        raise LedgerError(f"{url} is no manifest of ledger files ({type(error).__name__}: {error})") from error
    _compare(connection, url, content, {**named, **told})
    return {**named, "listed": listed, "supplied": supplied}


def _in_folder(folder: str, name: str) -> str:
    return name if "://" in name or name.startswith("/") else f"{folder}/{name}"


def _listed(store: ObjectStore, url: str, folder: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """A file as a manifest names it, which must be there. Raises LedgerError, FileNotFoundError."""
    name = _in_folder(folder, str(one["name"]))
    for what, kind in (("size", int), ("rows", int), ("sha256", str)):
        if not isinstance(one.get(what, kind()), kind):
            raise LedgerError(f"{url}: {what} of {one['name']} is {one[what]!r}, and should be {_KINDS[kind]}")
    store.find(name)
    if one.get("compression", "none") not in _COMPRESSIONS:
        raise LedgerError(f"{url}: compression {one['compression']!r} of {one['name']}: {', '.join(_COMPRESSIONS)}")
    kept = {name: one[name] for name in ("size", "sha256", "rows", "compression") if one.get(name) is not None}
    return {"name": name, **kept}


def _compare(connection: Connection, url: str, content: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """The manifest's figures were made for certain settings; with others nothing would reconcile."""
    if "tenant" not in told or "entity" not in told:
        return
    of = requests.entity(connection, told["tenant"], told["entity"])
    for name in ("base_currency", "lot_method"):
        if name in content and content[name] != getattr(of, name):
            raise LedgerError(
                f"{url} was made for {name} {content[name]!r}; {of.tenant}/{of.name} has {getattr(of, name)!r}"
            )
    states = dict(books.period_states(connection, of))
    for one in content.get("periods", []):
        if states.get(one["period"], False) != one["open"]:
            wanted, found = ("open" if is_open else "not open" for is_open in (one["open"], not one["open"]))
            raise LedgerError(
                f"{url} was made with period {one['period']} {wanted}; of {of.tenant}/{of.name} it is {found}"
            )
