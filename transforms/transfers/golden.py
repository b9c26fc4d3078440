"""Golden cases: files that say what is sent and what must come of it, run against the cores in memory.

The format is described at the end of transfers.md. A case that is malformed raises CaseError, which names the file and
the key; a case that is missed gives a list of differences.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Any

from transforms.transfers import money
from transforms.transfers.crypto import condition_of, encode_32
from transforms.transfers.local import LocalHub
from transforms.transfers.timestamps import iso, parse_ms

BASE_MS = 1_767_225_600_000
"""Log time of `at` 0: 2026-01-01T00:00:00Z."""

Json = dict[str, Any]
_COMMANDS = ("addParticipant", "addAccount", "setNdc", "setActive", "fundsIn", "fundsOut", "configure")
_FUNDS_OUT = {"fundsOutReserve": "reserve", "fundsOutCommit": "commit", "fundsOutAbort": "abort"}
_TOP_LEVEL: tuple[tuple[str, type, bool], ...] = (
    ("name", str, True),
    ("participants", list, True),
    ("config", dict, False),
    ("steps", list, True),
    ("expect", dict, True),
)
_NOTIFICATION_KEYS = (
    "at",
    "to",
    "from",
    "method",
    "code",
    "action",
    "id",
    "transferId",
    "transferState",
    "description",
)
_ACCOUNT_KEYS = ("position", "reserved", "cover", "ndc", "active")


class CaseError(ValueError):
    """A case that cannot be run; the message names the file and the key."""


@dataclass
class Case:
    """A golden case; `path` is where it was read from, for messages."""

    path: str
    name: str
    participants: list[Json]
    config: Json
    steps: list[Json]
    expect: Json
    payers: dict[str, str] = field(default_factory=dict)
    """Payer of each transfer that a prepare step named."""


def run_file(path: str | Path) -> list[str]:
    """Run a case file; returns the differences, none if it holds. Raises CaseError."""
    return run(load(path))


def load(path: str | Path) -> Case:
    """Read a case file and check its form. Raises CaseError."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CaseError(f"{path}: cannot be read as a JSON document: {error}") from None
    return parse(document, str(path))


def parse(document: Any, path: str) -> Case:
    """A case from its JSON document. Raises CaseError."""
    if not isinstance(document, dict):
        raise CaseError(f"{path}: a case is a JSON object")
    found: dict[str, Any] = {}
    for key, kind, required in _TOP_LEVEL:
        value = document.get(key, None if required else kind())
        if not isinstance(value, kind):
            raise CaseError(f"{path}: {key}: must be a {kind.__name__}, is {type(value).__name__}")
        found[key] = value
    for key in found["expect"]:
        if key not in ("notifications", "states", "accounts"):
            raise CaseError(f"{path}: expect.{key}: unknown; known are notifications, states and accounts")
    case = Case(path=path, **found)
    for number, step in enumerate(case.steps):
        _check_step(case, f"steps[{number}]", step)
    return case


def _check_step(case: Case, where: str, step: Any) -> None:
    if not isinstance(step, dict) or type(step.get("at")) is not int:
        raise CaseError(f"{case.path}: {where}.at: must be a whole number of milliseconds")
    kinds = [kind for kind in _STEPS if kind in step]
    if len(kinds) != 1:
        raise CaseError(f"{case.path}: {where}: must have exactly one of {', '.join(_STEPS)}; has {kinds or 'none'}")
    if kinds[0] in ("prepare", "fulfil", "error", "admin") and not isinstance(step[kinds[0]], dict):
        raise CaseError(f"{case.path}: {where}.{kinds[0]}: must be an object")


def run(
    case: Case, hub: LocalHub | None = None, after_step: Callable[[LocalHub, int], None] | None = None
) -> list[str]:
    """Run a case on `hub` (a new one by default) and compare; `after_step` is called with the hub and the log time."""
    hub = set_up(case, hub)
    for number, step in enumerate(case.steps):
        perform(case, hub, number, step)
        if after_step is not None:
            after_step(hub, BASE_MS + step["at"])
    return compare(case, hub)


def set_up(case: Case, hub: LocalHub | None = None) -> LocalHub:
    """A hub with the case's settings and participants."""
    hub = hub or LocalHub()
    if case.config:
        _admin(case, hub, "config", {"configure": case.config}, BASE_MS)
    for number, participant in enumerate(case.participants):
        where = f"participants[{number}]"
        if not isinstance(participant, dict) or not isinstance(participant.get("id"), str):
            raise CaseError(f"{case.path}: {where}.id: must be a string")
        accounts = [
            {key: account[key] for key in ("currency", "cover", "ndc") if key in account}
            for account in participant.get("accounts", [])
        ]
        _admin(case, hub, where, {"addParticipant": {"id": participant["id"], "accounts": accounts}}, BASE_MS)
        for entry in (participant, *({**account, "of": 1} for account in participant.get("accounts", []))):
            if entry.get("active", True) is False:
                target = {"currency": entry["currency"]} if "of" in entry else {}
                _admin(case, hub, where, {"setActive": {"id": participant["id"], "active": False, **target}}, BASE_MS)
    return hub


def perform(case: Case, hub: LocalHub, number: int, step: Json) -> None:
    """Do one step on the hub, with all it causes."""
    kind = next(kind for kind in _STEPS if kind in step)
    at = BASE_MS + step["at"]
    where = f"steps[{number}].{kind}"
    if kind == "tick":
        hub.tick(at)
    elif kind == "admin":
        for command in commands(case, where, step["admin"]):
            _admin(case, hub, where, command, at)
    elif kind == "get":
        id = step["get"]["transferId"] if isinstance(step["get"], dict) else step["get"]
        hub.get(id, _sender(case, number, step), at)
    else:
        value = message(case, number, step)
        hub.send(hub.topics.prepare if kind == "prepare" else hub.topics.fulfil, value, at)


def message(case: Case, number: int, step: Json) -> bytes:
    """The Mojaloop envelope of a prepare, fulfil or error step."""
    kind = next(kind for kind in _STEPS if kind in step)
    where = f"steps[{number}].{kind}"
    at = BASE_MS + step["at"]
    payload = {key: _value(case, f"{where}.{key}", key, value, at) for key, value in step[kind].items()}
    sender = _sender(case, number, step)
    if kind == "prepare":
        id = payload.get("transferId")
        event_type, action = "prepare", "prepare"
        receiver = step.get("to", payload.get("payeeFsp"))
        if isinstance(id, str):
            case.payers.setdefault(id, str(payload.get("payerFsp")))
    else:
        id = payload.pop("transferId", None)
        event_type, action = "fulfil", "abort" if kind == "error" else _action(payload)
        receiver = step.get("to", case.payers.get(str(id)))
    if kind == "error" and "errorInformation" not in payload:
        payload = {"errorInformation": payload}
    headers = {"fspiop-source": sender} | ({"fspiop-destination": receiver} if receiver is not None else {})
    headers |= step.get("headers", {})
    document = {
        "id": id,
        "from": sender,
        "to": receiver,
        "type": "application/json",
        "content": {"uriParams": {"id": id}, "headers": headers, "payload": payload},
        "metadata": {
            "correlationId": id,
            "event": {
                "type": event_type,
                "action": step.get("action", action),
                "createdAt": iso(at),
                "state": {"status": "success", "code": 0},
            },
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _action(payload: Json) -> str:
    """The action an ml-api-adapter gives a PUT /transfers/{id}."""
    return {"RESERVED": "reserve", "REJECTED": "reject"}.get(str(payload.get("transferState")), "commit")


def _sender(case: Case, number: int, step: Json) -> str:
    sender = step.get("from")
    if not isinstance(sender, str):
        raise CaseError(f"{case.path}: steps[{number}].from: must name the sender")
    return sender


def _value(case: Case, where: str, key: str, value: Any, at: int) -> Any:
    """A payload member with {"plus"} and {"secret"} filled in."""
    if not isinstance(value, dict):
        return value
    if set(value) == {"plus"}:
        if type(value["plus"]) is not int:
            raise CaseError(f"{case.path}: {where}.plus: must be a whole number of milliseconds")
        return iso(at + value["plus"])
    if set(value) == {"secret"}:
        secret = sha256(str(value["secret"]).encode()).digest()
        return encode_32(condition_of(secret) if key == "condition" else secret)
    return value


def commands(case: Case, where: str, admin: Json) -> list[Json]:
    """The commands of an admin step in the form the log takes. Raises CaseError for a command nobody knows."""
    found: list[Json] = []
    for name, arguments in admin.items():
        if not isinstance(arguments, dict):
            raise CaseError(f"{case.path}: {where}.{name}: must be an object")
        arguments = dict(arguments)
        if name in _FUNDS_OUT:
            arguments["action"] = _FUNDS_OUT[name]
            name = "fundsOut"
        if name not in _COMMANDS:
            raise CaseError(f"{case.path}: {where}.{name}: unknown command; known are {', '.join(_COMMANDS)}")
        if name == "setActive" and "isActive" in arguments:
            arguments["active"] = arguments.pop("isActive")
        if name in ("fundsIn", "fundsOut"):
            arguments.setdefault("transferId", f"{where.replace('[', '-').replace(']', '')}")
        if name == "fundsOut":
            action = next(
                (arguments.pop(key) for key in ("action", "phase", "step", "state") if key in arguments), None
            )
            actions = [str(action)] if action is not None else ["reserve", "commit"]
            found += [{name: {**arguments, "action": action}} for action in actions]
        else:
            found.append({name: arguments})
    return found


def _admin(case: Case, hub: LocalHub, where: str, command: Json, at: int) -> None:
    hub.admin(command, at, where)


def compare(case: Case, hub: LocalHub) -> list[str]:
    """What differs from `expect`, in words."""
    differences: list[str] = []
    expect = case.expect
    if "notifications" in expect:
        differences += _compare_notifications(case, [_told(value) for value in hub.of(hub.topics.notifications)])
    for id, state in expect.get("states", {}).items():
        actual = hub.read_side.state(id)
        if actual != state:
            differences.append(f"state of {id}: expected {state}, is {actual}")
    for name, wanted in expect.get("accounts", {}).items():
        differences += _compare_account(case, hub, name, wanted)
    return differences


def _told(value: bytes) -> Json:
    """The keys of a notification that a case may list."""
    document = json.loads(value)
    payload, metadata = document["content"]["payload"], document["metadata"]
    error = payload.get("errorInformation") or {}
    created = parse_ms(metadata["event"]["createdAt"])
    return {
        "at": (created or 0) - BASE_MS,
        "to": document["to"],
        "from": document["from"],
        "method": metadata["http"]["method"],
        "code": error.get("errorCode"),
        "description": error.get("errorDescription"),
        "action": metadata["event"]["action"],
        "id": document["id"],
        "transferId": document["id"],
        "transferState": payload.get("transferState"),
    }


def _compare_notifications(case: Case, actual: list[Json]) -> list[str]:
    wanted = case.expect["notifications"]
    for number, item in enumerate(wanted):
        unknown = [key for key in item if key not in _NOTIFICATION_KEYS]
        if unknown or "to" not in item:
            key = unknown[0] if unknown else "to"
            raise CaseError(
                f"{case.path}: expect.notifications[{number}].{key}: " + ("unknown" if unknown else "missing")
            )
    differences = []
    for receiver in dict.fromkeys([item["to"] for item in wanted] + [item["to"] for item in actual]):
        expected = [item for item in wanted if item["to"] == receiver]
        found = [item for item in actual if item["to"] == receiver]
        for number in range(max(len(expected), len(found))):
            where = f"to {receiver}, notification {number + 1}"
            if number >= len(found):
                differences.append(f"{where}: expected {_show(expected[number])}, got none")
            elif number >= len(expected):
                differences.append(f"{where}: not expected: {_show(found[number])}")
            else:
                differences += _compare_one(where, expected[number], found[number])
    return differences


def _compare_one(where: str, expected: Json, found: Json) -> list[str]:
    return [
        f"{where}: {key}: expected {value}, is {found[key]} in {_show(found)}"
        for key, value in expected.items()
        if _text(found[key]) != _text(value)
    ]


def _show(item: Json) -> str:
    return json.dumps({key: item[key] for key in ("at", "method", "code", "id") if item.get(key) is not None})


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _compare_account(case: Case, hub: LocalHub, name: str, wanted: Json) -> list[str]:
    account = hub.account(name)
    if account is None:
        return [f"account {name}: expected, does not exist"]
    differences = []
    for key, value in wanted.items():
        if key not in _ACCOUNT_KEYS:
            raise CaseError(f"{case.path}: expect.accounts.{name}.{key}: unknown; known are {', '.join(_ACCOUNT_KEYS)}")
        actual = account.active if key == "active" else money.text(getattr(account, key))
        try:
            same = actual == value if key == "active" else Decimal(str(actual)) == Decimal(str(value))
        except InvalidOperation:
            raise CaseError(f"{case.path}: expect.accounts.{name}.{key}: {value!r} is no amount") from None
        if not same:
            differences.append(f"account {name}: {key}: expected {value}, is {actual}")
    return differences


_STEPS = ("prepare", "fulfil", "error", "get", "admin", "tick")
