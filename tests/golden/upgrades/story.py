"""Write the log of a kept snapshot: `python -m tests.golden.upgrades.story transfer FOLDER` (or cards).

The story reaches every part of the cells: what is under way at the cut, what is finished, what is refused after it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.golden.upgrades.kept import HISTORIES, Kept, Record
from tests.unit.cards import plain
from tests.unit.transfers import wire
from tests.unit.transfers.wire import BASE
from transforms.cards import wire as card_wire
from transforms.cards.history_files import FileHistory
from transforms.cards.routing import partitions_of
from transforms.core import PAUSE_PREFIX
from transforms.transfers.local import LocalHub

PARTITIONS = 2
PAUSE = PAUSE_PREFIX + b'"upgrade"}'
MINUTE = 60_000
DFSPS = ("dfsp1", "dfsp5", "dfsp8")
"""The first in shard 0, the others in shard 1."""


def transfer(kept: Kept) -> list[int]:
    """Two shards, an hour and a half of log time up to the cut; returns the cut."""
    hub = LocalHub(PARTITIONS)
    _TransferStory(hub).before()
    for partition in range(PARTITIONS):
        hub.append(partition, PAUSE, BASE + 100 * MINUTE)
    hub.run(BASE + 100 * MINUTE)
    cut = [len(hub.log_of(partition)) for partition in range(PARTITIONS)]
    _TransferStory(hub).after()
    kept.write_log(
        Record(partition, offset, at, key, value)
        for partition in range(PARTITIONS)
        for offset, (at, key, value) in enumerate(hub.log_of(partition))
    )
    return cut


class _TransferStory:
    def __init__(self, hub: LocalHub) -> None:
        self.hub = hub

    def before(self) -> None:
        hub = self.hub
        wire.add_dfsps(hub, *DFSPS, cover="50000", ndc="40000", currencies=("USD", "XOF"))
        wire.add_dfsps(hub, "dfsp4", cover="25.5", ndc="20")
        hub.admin({"configure": {"onUs": True, "expirationHorizonSeconds": 3600}}, BASE, "configure")
        hub.admin({"fundsIn": {"id": "dfsp1", "currency": "USD", "amount": "12.34", "transferId": "in-1"}}, BASE)
        self.funds_out("reserve", "out-1", BASE)
        hub.admin({"setActive": {"id": "dfsp8", "currency": "XOF", "active": False}}, BASE)
        for number in range(30):
            at = BASE + (3 * number + 1) * MINUTE
            payer, payee = _parties(number)
            self.prepare(number, payer, payee, f"{number + 1}.{number:02d}", at)
            if number % 5 == 4:
                self.error(number, payee, payer, at + 500)
            elif number % 7 != 6:  # which expires
                self.fulfil(number, payee, payer, at + 500)
        at = BASE + 99 * MINUTE
        hub.append(0, _credit(origin=1, ahead=3, hub=hub), at)  # leaves a gap
        for number in range(30, 36):  # under way at the cut
            self.prepare(number, DFSPS[number % 3], DFSPS[(number + 1) % 3], "7.5", at, "USD")
        self.prepare(36, "dfsp8", "dfsp1", "1", at, "XOF")  # not active
        self.prepare(37, "dfsp4", "dfsp1", "21", at)  # above the cap

    def after(self) -> None:
        hub, at = self.hub, BASE + 101 * MINUTE
        hub.admin({"addParticipant": {"id": "dfsp11", "accounts": [{"currency": "USD", "cover": "9", "ndc": "9"}]}}, at)
        self.fulfil(30, "dfsp5", "dfsp1", at)
        self.error(31, "dfsp8", "dfsp5", at)
        self.fulfil(32, "dfsp5", "dfsp8", at)  # from another than the payee
        self.prepare(33, "dfsp1", "dfsp5", "7.5", BASE + 99 * MINUTE, at=at)  # the same again, under way
        self.prepare(34, "dfsp5", "dfsp8", "7.51", BASE + 99 * MINUTE, at=at)  # modified
        for number in (29, 28, 26, 24, 20):  # the same again, finished: open and sealed slices
            payer, payee = _parties(number)
            self.prepare(number, payer, payee, f"{number + 1}.{number:02d}", BASE + (3 * number + 1) * MINUTE, at=at)
            self.fulfil(number, payee, payer, at)
        hub.append(0, _credit(origin=1, ahead=-1, hub=hub), at)  # into the gap
        self.funds_out("commit", "out-1", at)
        hub.admin({"fundsIn": {"id": "dfsp1", "currency": "USD", "amount": "12.34", "transferId": "in-1"}}, at)
        hub.admin({"setActive": {"id": "dfsp8", "currency": "XOF", "active": True}}, at)
        self.prepare(38, "dfsp8", "dfsp1", "1", at, "XOF")
        self.fulfil(38, "dfsp1", "dfsp8", at)
        hub.append(1, b"no record at all \xff", at)
        hub.tick(BASE + 110 * MINUTE)  # the others expire
        hub.tick(BASE + 220 * MINUTE)  # slices are forgotten
        self.fulfil(29, "dfsp8", "dfsp8", BASE + 220 * MINUTE)

    def prepare(
        self, number: int, payer: str, payee: str, amount: str, made: int, currency: str = "USD", at: int = 0
    ) -> None:
        value = wire.prepare(f"t-{number}", payer, payee, amount, made + 5 * MINUTE, f"k{number}", currency=currency)
        self.hub.send(self.hub.topics.prepare, value, at or made)

    def fulfil(self, number: int, payee: str, payer: str, at: int) -> None:
        self.hub.send(self.hub.topics.fulfil, wire.fulfil(f"t-{number}", payee, payer, f"k{number}"), at)

    def error(self, number: int, payee: str, payer: str, at: int) -> None:
        self.hub.send(self.hub.topics.fulfil, wire.error(f"t-{number}", payee, payer), at)

    def funds_out(self, action: str, id: str, at: int) -> None:
        told = {"id": "dfsp5", "currency": "XOF", "action": action, "amount": "250", "transferId": id}
        self.hub.admin({"fundsOut": told}, at)


def _parties(number: int) -> tuple[str, str]:
    """Payer and payee of one of the first thirty transfers; of some they are the same."""
    return DFSPS[number % 3], DFSPS[(number + number // 3) % 3]


def _credit(origin: int, ahead: int, hub: LocalHub) -> bytes:
    """A credit so many behind or ahead of the next from that shard."""
    seq = hub.shards[0].credits.last[origin] + 1 + ahead
    told = {"origin": origin, "seq": seq, "id": f"c-{seq}", "payee": "dfsp1", "currency": "USD", "units": "10000"}
    return wire.dump({"credit": told})


def cards(kept: Kept) -> list[int]:
    """Two shards with loaded histories: known and new cards, letters in fields, copies, rules loaded and changed."""
    (kept.folder / "rules.yaml").write_text(plain.CAREFUL, encoding="utf-8")
    values = [_card_values(partition) for partition in range(PARTITIONS)]
    cut = [len(before) + 1 for before, _ in values]
    kept.write_log(
        Record(partition, offset, BASE + 20_000 * offset, value[:14] if value[:1].isdigit() else None, value)
        for partition, (before, after) in enumerate(values)
        for offset, value in enumerate([*before, PAUSE, *after])
    )
    return cut


def _card_values(partition: int) -> tuple[list[bytes], list[bytes]]:
    from florin_io.folder import Folder

    base = FileHistory(Folder(str(HISTORIES)), partition, PARTITIONS)
    known = sorted(int(card) for cell in range(1, 64) for card in base.read(cell)[0])
    new = [card for card in range(10**13, 10**13 + 60) if partitions_of(_array(card), PARTITIONS)[0] == partition]
    used, fresh = known[: len(known) // 2], new[:8]

    def packet(number: int, card: int, **more: str) -> bytes:
        fields = {"amount": str(100 + 37 * number), "country": "001", "currency": "011", "code": "12345", **more}
        text = (
            f"{card:014d},{BASE + 15_000 * number},{fields['country']},00,{fields['amount']},{fields['currency']},"
            f"{number % 50:04d},00001,{fields['code']}"
        )
        return card_wire.packet(text.encode())

    before = [packet(number, (used + fresh)[number % (len(used) + len(fresh))]) for number in range(150)]
    before += [packet(number, fresh[0]) for number in range(150, 180)]  # more than it remembers
    before += [packet(180, fresh[1], country="A1B", code="XY345678"), packet(181, fresh[2], amount="6001")]
    before[60:60] = [plain.command("load", "easy", text=plain.EASY), plain.command("shadow", "easy")]
    before[90:90] = [plain.command("shadow", "careful", rule="MANY", mode="off"), b"no packet", b'{"rules":{}}']
    after = [packet(number, (known + new)[number % (len(known) + len(new))]) for number in range(182, 300)]
    after += [packet(181, fresh[2], amount="6001"), packet(180, fresh[1], country="A1B", code="XY345678")]  # copies
    after += [packet(number, fresh[1], country="A1B") for number in range(300, 306)]
    after[40:40] = [plain.command("activate", "easy"), plain.command("activate", "careful", rule="MANY", mode="live")]
    after[80:80] = [plain.command("retire", "easy"), plain.command("activate", "careful")]
    return before, after


def _array(card: int) -> object:
    import numpy as np

    return np.array([card], np.uint64)


def main(job: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept = Kept(folder)
    cut = {"transfer": transfer, "cards": cards}[job](kept)
    about = {"partitions": PARTITIONS, "cut": cut}
    (folder / "about.json").write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
