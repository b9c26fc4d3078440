"""Topics: make those that are missing and check those that are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

FOREVER = -1
"""Retention in ms of a topic that keeps everything."""


class TopicError(ValueError):
    """A topic that the job cannot work with; the message names it and the remedy."""


@dataclass(frozen=True)
class TopicSpec:
    """What a job needs of a topic.

    `retention_ms` is the least retention it accepts (FOREVER: everything is kept); `config` holds further settings:
    numbers are least values, other texts must be equal.
    """

    name: str
    partitions: int
    retention_ms: int = 7 * 24 * 3600 * 1000
    log_append_time: bool = True
    replication: int = 1
    config: dict[str, str] = field(default_factory=dict)
    option: str = "--partitions"
    """The option that says how many partitions the topic has."""


def ensure(client: AdminClient, specs: Iterable[TopicSpec], *, create: bool = True) -> list[str]:
    """Make the topics that are missing (if `create`), check the others, and return the names of those missing.

    Raises TopicError with one line per problem: all of them, not the first.
    """
    wanted = list(specs)
    existing = client.list_topics(timeout=10).topics
    missing = [spec for spec in wanted if spec.name not in existing]
    problems: list[str] = []
    if missing and create:
        problems += _create(client, missing)
    present = [spec for spec in wanted if spec.name in existing]
    problems += _check(client, present)
    if problems:
        raise TopicError("\n".join(problems))
    return [spec.name for spec in missing]


def _create(client: AdminClient, specs: list[TopicSpec]) -> list[str]:
    problems = []
    for name, future in client.create_topics([_new_topic(spec) for spec in specs], operation_timeout=30).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                problems.append(f"topic {name} could not be made: {error.args[0].str()}")
    return problems


def _new_topic(spec: TopicSpec) -> NewTopic:
    config = {"retention.ms": str(spec.retention_ms), **spec.config}
    if spec.log_append_time:
        config["message.timestamp.type"] = "LogAppendTime"
    return NewTopic(spec.name, num_partitions=spec.partitions, replication_factor=spec.replication, config=config)


def _check(client: AdminClient, specs: list[TopicSpec]) -> list[str]:
    if not specs:
        return []
    problems = []
    topics = client.list_topics(timeout=10).topics
    resources = [ConfigResource(ResourceType.TOPIC, spec.name) for spec in specs]
    configs = {resource.name: future.result() for resource, future in client.describe_configs(resources).items()}
    for spec in specs:
        partitions = topics[spec.name].partitions
        if len(partitions) != spec.partitions:
            problems.append(
                f"topic {spec.name} has {len(partitions)} partitions, the job needs exactly {spec.partitions}: "
                f"give {spec.option}={len(partitions)} if every topic has that many, or use other topics with "
                "--topic_prefix"
            )
        replicas = min((len(partition.replicas) for partition in partitions.values()), default=0)
        if replicas < spec.replication:
            problems.append(
                f"topic {spec.name} has {replicas} replica(s), {spec.replication} wanted: add replicas or lower "
                "--replication"
            )
        config = configs[spec.name]
        if spec.log_append_time and config["message.timestamp.type"].value != "LogAppendTime":
            problems.append(
                f"topic {spec.name} has message.timestamp.type={config['message.timestamp.type'].value}; time "
                "must be the "
                f"log's own: kafka-configs --alter --topic {spec.name} --add-config "
                "message.timestamp.type=LogAppendTime"
            )
        retention = int(config["retention.ms"].value)
        if retention != FOREVER and (spec.retention_ms == FOREVER or retention < spec.retention_ms):
            problems.append(
                f"topic {spec.name} keeps records for {retention} ms, a replay needs {_kept(spec.retention_ms)}: "
                f"kafka-configs --alter --topic {spec.name} --add-config retention.ms={spec.retention_ms}"
            )
        problems += _check_config(spec, {name: entry.value for name, entry in config.items()})
    return problems


def _check_config(spec: TopicSpec, found: dict[str, str | None]) -> list[str]:
    wanted = {"cleanup.policy": "delete", **spec.config}
    if spec.retention_ms == FOREVER:
        wanted["retention.bytes"] = str(FOREVER)
    problems = []
    for name, value in wanted.items():
        there = found.get(name) or ""
        enough = there.isdigit() and value.isdigit() and int(there) >= int(value)
        if there != value and not enough:
            problems.append(
                f"topic {spec.name} has {name}={there}, {value} is needed: "
                f"kafka-configs --alter --topic {spec.name} --add-config {name}={value}"
            )
    return problems


def _kept(retention_ms: int) -> str:
    return "all of them" if retention_ms == FOREVER else f"{retention_ms} ms"
