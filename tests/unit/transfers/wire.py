"""Messages and helpers that the tests of the transfer core share."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from transforms.core import Batch, Output
from transforms.transfers.crypto import condition_of, encode_32
from transforms.transfers.events import link_hash
from transforms.transfers.local import LocalHub
from transforms.transfers.shard import TransferShard
from transforms.transfers.timestamps import iso

BASE = 1_767_225_600_000


def secret(text: str) -> bytes:
    return sha256(text.encode()).digest()


def envelope(kind: str, action: str, id: Any, sender: str, receiver: str, payload: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "from": sender,
        "to": receiver,
        "type": "application/json",
        "content": {
            "uriParams": {"id": id},
            "headers": {"fspiop-source": sender, "fspiop-destination": receiver},
            "payload": payload,
        },
        "metadata": {
            "correlationId": id,
            "event": {
                "type": kind,
                "action": action,
                "createdAt": iso(BASE),
                "state": {"status": "success", "code": 0},
            },
        },
        **more,
    }


def prepare_payload(
    id: Any, payer: str, payee: str, amount: Any, expiration: int, key: str, currency: str = "USD"
) -> Any:
    return {
        "transferId": id,
        "payerFsp": payer,
        "payeeFsp": payee,
        "amount": {"currency": currency, "amount": amount},
        "ilpPacket": "AQAAAAAAAAAKEWcuZGZzcDIuYWNjb3VudAA",
        "condition": encode_32(condition_of(secret(key))),
        "expiration": iso(expiration),
    }


def prepare(
    id: Any,
    payer: str,
    payee: str,
    amount: Any,
    expiration: int,
    key: str = "k",
    sender: str = "",
    currency: str = "USD",
) -> bytes:
    payload = prepare_payload(id, payer, payee, amount, expiration, key, currency)
    return dump(envelope("prepare", "prepare", id, sender or payer, payee, payload))


def fulfil(
    id: Any, sender: str, receiver: str, key: str = "k", completed: int | None = None, action: str = "commit"
) -> bytes:
    payload = {"fulfilment": encode_32(secret(key)), "transferState": "COMMITTED"}
    if completed is not None:
        payload["completedTimestamp"] = iso(completed)
    return dump(envelope("fulfil", action, id, sender, receiver, payload))


def error(id: Any, sender: str, receiver: str, code: Any = "5105") -> bytes:
    payload = {"errorInformation": {"errorCode": code, "errorDescription": "no"}}
    return dump(envelope("fulfil", "abort", id, sender, receiver, payload))


def dump(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def add_dfsps(
    hub: LocalHub, *ids: str, cover: str = "1000", ndc: str = "1000", currencies: tuple[str, ...] = ("USD",)
) -> None:
    for id in ids:
        accounts = [{"currency": currency, "cover": cover, "ndc": ndc} for currency in currencies]
        hub.admin({"addParticipant": {"id": id, "accounts": accounts}}, BASE, f"add {id}")


def admin(name: str, **arguments: Any) -> bytes:
    return dump({"admin": {name: arguments}, "id": f"command {name}"})


def feed(shard: TransferShard, values: list[bytes], at: int, offset: int = 0) -> list[Output]:
    """Records at one log time, with consecutive offsets."""
    count = len(values)
    return shard.apply(Batch(list(range(offset, offset + count)), [at] * count, [None] * count, values))


def told(hub: LocalHub, since: int = 0) -> list[tuple[str, str, str | None, str]]:
    """Receiver, method, code and transfer id of the notifications among the outputs from `since` on."""
    found = []
    for topic, _, _, value in hub.outputs[since:]:
        if topic == hub.topics.notifications:
            document = json.loads(value)
            code = document["content"]["payload"].get("errorInformation", {}).get("errorCode")
            found.append((document["to"], document["metadata"]["http"]["method"], code, document["id"]))
    return found


def check_chains(hub: LocalHub) -> dict[str, int]:
    """Hold every event to its chain: gapless, linked, changes sum up. Returns the number of events by account."""
    last: dict[str, tuple[int, str]] = {}
    for topic, _, key, value in hub.outputs:
        if topic == hub.topics.events:
            event = json.loads(value)
            account = event["account"]
            assert key == account.encode()
            seq, previous = last.get(account, (0, "0" * 64))
            assert event["seq"] == seq + 1, event
            assert event["prevHash"] == previous, event
            assert event["hash"] == link_hash(value, previous), event
            last[account] = (event["seq"], event["hash"])
    return {account: seq for account, (seq, _) in last.items()}


def balances(hub: LocalHub) -> list[tuple[str, int, int, int, int]]:
    """Account, position, reserved, cover and NDC in units, of every account in its own shard."""
    return [
        (account.name, account.position, account.reserved, account.cover, account.ndc)
        for shard in hub.shards
        for participant in shard.participants.values()
        if participant.partition == shard.partition
        for account in participant.accounts.values()
    ]
