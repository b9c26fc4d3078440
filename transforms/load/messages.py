"""The bytes a DFSP sends: Mojaloop envelopes from templates, one per pair of DFSPs, filled without an encoder."""

from __future__ import annotations

from transforms.load.plan import PoolEntry

_TYPE = "application/vnd.interoperability.transfers+json;version=1.0"

# %b fields, in order: id, id, amount, ilpPacket, condition, expiration, id, id, createdAt, trace id.
_PREPARE = (
    '{"id":"%b","from":"$PAYER$","to":"$PAYEE$","type":"application/json","content":{"uriParams":{"id":"%b"},'
    '"headers":{"content-type":"$TYPE$","fspiop-source":"$PAYER$","fspiop-destination":"$PAYEE$"},'
    '"payload":{"amount":{"currency":"$CURRENCY$","amount":"%b"},"ilpPacket":"%b","condition":"%b","expiration":"%b",'
    '"transferId":"%b","payerFsp":"$PAYER$","payeeFsp":"$PAYEE$"}},'
    '"metadata":{"correlationId":"%b","event":{"type":"prepare","action":"prepare","createdAt":"%b",'
    '"state":{"status":"success","code":0}},"trace":{"traceId":"%b"}}}'
)
# %b fields, in order: id, id, [payload's own], id, createdAt, trace id.
_ANSWER = (
    '{"id":"%b","from":"$PAYEE$","to":"$PAYER$","type":"application/json","content":{"uriParams":{"id":"%b"},'
    '"headers":{"content-type":"$TYPE$","fspiop-source":"$PAYEE$","fspiop-destination":"$PAYER$"},'
    '"payload":$PAYLOAD$},'
    '"metadata":{"correlationId":"%b","event":{"type":"fulfil","action":"$ACTION$","createdAt":"%b",'
    '"state":{"status":"success","code":0}},"trace":{"traceId":"%b"}}}'
)
_FULFILMENT = '{"fulfilment":"%b","completedTimestamp":"%b","transferState":"$STATE$"}'
_ERROR = '{"errorInformation":{"errorCode":"5105","errorDescription":"Payee transaction limit reached"}}'
_REJECTION = '{"completedTimestamp":"%b","transferState":"REJECTED"}'

_ANSWERS = {
    "commit": ("commit", _FULFILMENT.replace("$STATE$", "COMMITTED")),
    "wrong": ("commit", _FULFILMENT.replace("$STATE$", "COMMITTED")),
    "reserve": ("reserve", _FULFILMENT.replace("$STATE$", "RESERVED")),
    "reject": ("reject", _REJECTION),
    "error": ("abort", _ERROR),
}


class Pair:
    """One payer and one payee, and their messages in one currency. Times are ISO 8601 text; ids are UUIDs as bytes.

    `key` and `partition` are those of the payer in transfer-log.
    """

    __slots__ = ("_answers", "_prepare", "key", "partition", "payee", "payer")

    def __init__(self, payer: str, payee: str, currency: str, partition: int) -> None:
        self.payer = payer
        self.payee = payee
        self.key = payer.encode()
        self.partition = partition
        self._prepare = _filled(_PREPARE, payer, payee).replace(b"$CURRENCY$", currency.encode())
        self._answers = {
            kind: _filled(_ANSWER.replace("$PAYLOAD$", payload).replace("$ACTION$", action), payer, payee)
            for kind, (action, payload) in _ANSWERS.items()
        }

    def prepare(self, id: bytes, entry: PoolEntry, amount: bytes, at: bytes, expiration: bytes) -> bytes:
        """A prepare, about 900 bytes."""
        return self._prepare % (
            id, id, amount, entry.ilp_packet, entry.condition, expiration, id, id, at, id,
        )  # fmt: skip

    def answer(self, kind: str, id: bytes, entry: PoolEntry, at: bytes) -> bytes:
        """What the payee sends: commit, reserve, wrong (a fulfilment that does not fit), reject or error."""
        template = self._answers[kind]
        if kind == "error":
            return template % (id, id, id, at, id)
        if kind == "reject":
            return template % (id, id, at, id, at, id)
        return template % (id, id, entry.wrong if kind == "wrong" else entry.fulfilment, at, id, at, id)


def _filled(template: str, payer: str, payee: str) -> bytes:
    for name in (payer, payee):
        if not name.isascii() or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ValueError(f"a DFSP id may hold letters, digits, dots, dashes and underscores, got {name!r}")
    return template.replace("$TYPE$", _TYPE).replace("$PAYER$", payer).replace("$PAYEE$", payee).encode()
