"""Which topics are there, said before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable

from florin_io.kafka.client import admin

_TIMEOUT_S = 20.0


class TopicsMissing(ValueError):
    """Topics that are needed are not there; the message names them and how to make them."""


def partitions_of(bootstrap: str, prefix: str, names: Iterable[str]) -> dict[str, int]:
    """Number of partitions of each topic of the transfer job. Raises KafkaUnreachable, TopicsMissing."""
    option = f" --topic-prefix {prefix}" if prefix else ""
    makes = f"`python -m jobs.hub topics --create{option}` makes it (and so does starting `python -m jobs.transfer`)"
    return _counted(bootstrap, names, makes)


def card_partitions(bootstrap: str, names: Iterable[str]) -> dict[str, int]:
    """Number of partitions of each topic of the card job. Raises KafkaUnreachable, TopicsMissing."""
    return _counted(bootstrap, names, "`python -m jobs.cards start` makes it")


def _counted(bootstrap: str, names: Iterable[str], makes: str) -> dict[str, int]:
    """Number of partitions of each topic; `makes` says how to make one. Raises KafkaUnreachable, TopicsMissing."""
    wanted = sorted(set(names))
    known = admin(bootstrap).list_topics(timeout=_TIMEOUT_S).topics
    missing = [name for name in wanted if name not in known]
    if missing:
        raise TopicsMissing(
            f"Kafka at {bootstrap} has no topic {', '.join(missing)}: {makes}; other names need --topic-prefix"
        )
    return {name: len(known[name].partitions) for name in wanted}
