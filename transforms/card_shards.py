"""The shards of card scoring: a core per partition of the transactions, begun from the files of a loader's run."""

from __future__ import annotations

from functools import partial

from florin_io.folder import Folder
from transforms.cards.core import CardsCore
from transforms.cards.history_files import FileHistory
from transforms.cards.topics import Topics
from transforms.cards.warm import warm_up
from transforms.shard import ShardSpec


def card_shards(
    topics: Topics, partitions: int, rules: str, history: str | None = None, *, explain: bool = False
) -> list[ShardSpec]:
    """One shard per partition. `rules` is the text of the rule file to begin with, `history` a loader's folder."""
    return [
        ShardSpec(
            topics.transactions,
            number,
            partitions,
            partial(_core, number, partitions, topics, rules, history, explain),
            topics.scored,
        )
        for number in range(partitions)
    ]


def _core(partition: int, partitions: int, topics: Topics, rules: str, history: str | None, explain: bool) -> CardsCore:
    warm_up()  # before the first transaction waits for it
    base = FileHistory(Folder(history), partition, partitions) if history is not None else None
    return CardsCore(partition, partitions, topics, rules, base, explain=explain)
