"""The example Kafka has the topics and rights that jobs check at their start, the example PostgreSQL their roles."""

from __future__ import annotations

import re

import pytest

from flink import config
from flink.config import StackConfig
from florin_io.kafka.topics import TopicSpec
from jobs.launch import StreamingJob
from tests.unit.k8s.manifests import environment, objects, of_kind, pods
from tests.unit.k8s.test_agreement import job_containers, streaming_job
from tests.unit.k8s.test_manifests import meets, secrets
from transforms.subledger_db.schema import LOADER

pytestmark = pytest.mark.unit
KAFKA, POSTGRES, PROD = "examples/kafka", "examples/postgres", "overlays/prod"


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[StreamingJob]:
    """The streaming jobs as prod runs them."""
    return [streaming_job(PROD, container, monkeypatch) for container in job_containers(PROD).values()]


@pytest.fixture
def specs(jobs: list[StreamingJob]) -> dict[str, TopicSpec]:
    """What they need, by topic; where two need the same topic, they need the same of it."""
    found: dict[str, TopicSpec] = {}
    for spec in (spec for job in jobs for spec in job.topics):
        assert found.setdefault(spec.name, spec) == spec
    return found


def test_every_topic_is_made_as_the_jobs_check_it(specs: dict[str, TopicSpec]) -> None:
    made = of_kind(KAFKA, "KafkaTopic")
    assert made.keys() == specs.keys()
    for name, spec in specs.items():
        wanted = {"cleanup.policy": "delete", "retention.ms": str(spec.retention_ms), **spec.config}
        if spec.log_append_time:
            wanted["message.timestamp.type"] = "LogAppendTime"
        if spec.retention_ms == -1:
            wanted["retention.bytes"] = "-1"
        found = made[name]["spec"]
        assert (found["partitions"], found["replicas"]) == (spec.partitions, spec.replication), name
        assert {key: str(value) for key, value in found["config"].items()} == wanted, name


def test_brokers_are_set_as_the_local_stack_is() -> None:
    local = dict(line.split("=", 1) for line in config.kafka_properties(StackConfig(home="/h")).splitlines())
    settings = of_kind(KAFKA, "Kafka")["payments"]["spec"]["kafka"]["config"]
    found = {key: str(value).lower() for key, value in settings.items()}
    for key in ("offsets.retention.minutes", "transaction.abort.timed.out.transaction.cleanup.interval.ms",
                "auto.create.topics.enable"):  # fmt: skip
        assert found[key] == local[key], key
    topics = [one["spec"] for one in of_kind(KAFKA, "KafkaTopic").values()]
    # Topics of dead letters hold whole records.
    largest = max(int(topic["config"].get("max.message.bytes", 0)) for topic in topics)
    for key in ("message.max.bytes", "replica.fetch.max.bytes"):
        assert int(found[key]) >= max(largest, int(local[key])), key
    replicas = {topic["replicas"] for topic in topics}
    assert max(replicas) <= of_kind(KAFKA, "KafkaNodePool")["broker"]["spec"]["replicas"]
    assert int(found["min.insync.replicas"]) < min(replicas)


def test_the_user_may_do_what_the_jobs_do(jobs: list[StreamingJob], specs: dict[str, TopicSpec]) -> None:
    acls = of_kind(KAFKA, "KafkaUser")["florin-kafka-user"]["spec"]["authorization"]["acls"]
    topics = {acl["resource"]["name"]: set(acl["operations"]) for acl in acls if acl["resource"]["type"] == "topic"}
    assert topics.keys() == specs.keys()
    assert all({"Read", "Write", "Describe", "DescribeConfigs"} <= allowed for allowed in topics.values())
    prefixes = {acl["resource"]["type"]: acl["resource"]["name"] for acl in acls
                if acl["resource"].get("patternType") == "prefix"}  # fmt: skip
    assert all(job.group.startswith(prefixes["group"]) for job in jobs)
    assert prefixes["transactionalId"] == prefixes["group"], "a shard's transactional id begins with its group"


def test_florin_finds_this_kafka() -> None:
    [listener] = of_kind(KAFKA, "Kafka")["payments"]["spec"]["kafka"]["listeners"]
    assert environment(PROD)["FLORIN_KAFKA"] == f"payments-kafka-bootstrap:{listener['port']}"
    policy = of_kind(PROD, "NetworkPolicy")["florin-to-kafka"]["spec"]["egress"][0]
    assert policy["ports"] == [{"protocol": "TCP", "port": listener["port"]}]
    labels = {"strimzi.io/cluster": "payments", "strimzi.io/kind": "Kafka"}
    assert meets(policy["to"][0]["podSelector"], labels)
    properties = of_kind(KAFKA, "Secret")["florin-kafka"]["stringData"]["client.properties"]
    sources = [source["secret"]["name"] for volume in next(pods(PROD)).spec["volumes"] if volume["name"] == "kafka"
               for source in volume["projected"]["sources"]]  # fmt: skip
    assert sources == ["florin-kafka", "florin-kafka-user", "payments-cluster-ca-cert"]
    places = re.findall(r"=(/\S+)", properties)
    assert places
    assert all(place.startswith("/etc/florin/kafka/") for place in places)
    assert listener["authentication"] == of_kind(KAFKA, "KafkaUser")["florin-kafka-user"]["spec"]["authentication"]


def test_florin_finds_this_postgres() -> None:
    cluster = of_kind(POSTGRES, "Cluster")["payments-db"]
    made = cluster["spec"]["bootstrap"]["initdb"]
    assert environment(PROD)["FLORIN_POSTGRES"].startswith(f"postgresql://payments-db-rw:5432/{made['database']}?")
    policy = of_kind(PROD, "NetworkPolicy")["florin-to-postgres"]["spec"]["egress"][0]
    assert meets(policy["to"][0]["podSelector"], {"cnpg.io/cluster": "payments-db"})
    assert made["postInitApplicationSQLRefs"]["configMapRefs"] == [{"name": "payments-db-roles", "key": "roles.sql"}]
    sql = of_kind(POSTGRES, "ConfigMap")["payments-db-roles"]["data"]["roles.sql"]
    known = {made["owner"], *re.findall(r"CREATE ROLE (\w+)", sql)}
    roles = {role["name"]: role for role in cluster["spec"]["managed"]["roles"]}
    assert roles.keys() | {LOADER} == known
    assert roles[made["owner"]]["createrole"] is True
    passwords = {role["passwordSecret"]["name"]: name for name, role in roles.items()}
    stored = {name: one["stringData"]["username"] for name, one in of_kind(POSTGRES, "Secret").items()}
    assert stored == passwords
    assert {name for name in secrets(PROD) if name.startswith("florin-postgres")} <= stored.keys()


def test_examples_are_in_the_namespace_of_prod() -> None:
    assert {one["metadata"]["namespace"] for name in (KAFKA, POSTGRES, PROD) for one in objects(name)} == {"florin"}
