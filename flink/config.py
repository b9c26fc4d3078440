"""The settings of the local stack, rendered to the files that Kafka and Flink read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from flink.processes import LOOPBACK

PUSH_REPORTER = "org.apache.flink.metrics.prometheus.PrometheusPushGatewayReporterFactory"


@dataclass(frozen=True)
class StackConfig:
    """What `up` was asked for: ports, sizes (MB), the run folder."""

    home: str
    kafka: int = 9092
    flink: int = 8081
    postgres: int = 5432
    metrics: int = 9250
    objects: int = 4443
    controller: int = 19093
    jobmanager: int = 16123
    zookeeper: int = 12181
    taskmanagers: int = 3
    taskmanager_heap_mb: int = 384
    managed_mb: int = 192
    kafka_heap_mb: int = 640
    jobmanager_heap_mb: int = 512
    zookeeper_heap_mb: int = 48

    @property
    def folder(self) -> Path:
        return Path(self.home)

    @property
    def flink_url(self) -> str:
        return f"http://{LOOPBACK}:{self.flink}"

    @property
    def kafka_address(self) -> str:
        return f"{LOOPBACK}:{self.kafka}"

    @property
    def postgres_url(self) -> str:
        return f"postgresql://postgres@{LOOPBACK}:{self.postgres}/postgres"

    @property
    def metrics_url(self) -> str:
        return f"http://{LOOPBACK}:{self.metrics}/metrics"

    @property
    def objects_url(self) -> str:
        return f"http://{LOOPBACK}:{self.objects}"

    def save(self) -> None:
        write_atomic(self.folder / "config.json", json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, home: Path) -> StackConfig:
        return cls(**json.loads((home / "config.json").read_text(encoding="utf-8")))


def write_atomic(path: Path, content: str | bytes) -> None:
    """Readers see the old content or the new one, never half."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    part.replace(path)


def kafka_properties(config: StackConfig) -> str:
    """One process that is broker and controller; small, and quick to end a dead producer's transaction."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOOPBACK}:{config.controller}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{config.kafka},CONTROLLER://{LOOPBACK}:{config.controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{config.kafka}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": config.folder / "kafka",
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": 8,
        # A shard's committed offset says what it emitted; a quiet week must not make Kafka forget it.
        "offsets.retention.minutes": 2147483647,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        # The default looks for timed-out transactions every 10 s; until then they hide all records behind them.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "group.initial.rebalance.delay.ms": 0,
        "message.max.bytes": 2 * 1024 * 1024,
        "replica.fetch.max.bytes": 2 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "log.segment.bytes": 256 * 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def zookeeper_properties(config: StackConfig) -> str:
    """One server with files of some MB; short ticks, since the shortest session is two of them."""
    settings = {
        "dataDir": config.folder / "zookeeper",
        "clientPort": config.zookeeper,
        "clientPortAddress": LOOPBACK,
        "tickTime": 1000,
        "admin.enableServer": "false",
        "autopurge.purgeInterval": 1,
        "preAllocSize": 4096,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def flink_config(config: StackConfig) -> str:
    """Flink's config.yaml: a dead TaskManager is noticed by its refused connection, a hanging one by heartbeats."""
    folder = config.folder
    settings: dict[str, object] = {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": config.jobmanager,
        "jobmanager.bind-host": LOOPBACK,
        "jobmanager.execution.failover-strategy": "region",
        # What a JobManager must know of its jobs outlives it: the next one goes on with them from their checkpoints.
        "high-availability.type": "zookeeper",
        "high-availability.zookeeper.quorum": f"{LOOPBACK}:{config.zookeeper}",
        "high-availability.storageDir": (folder / "ha").as_uri(),
        "high-availability.jobmanager.port": config.jobmanager,
        # The next JobManager waits until the session of one that was killed is over, and needs 5 s to start itself.
        "high-availability.zookeeper.client.session-timeout": 6000,
        "high-availability.zookeeper.client.connection-timeout": 5000,
        "zookeeper.sasl.disable": "true",
        # A short absence of ZooKeeper stops nothing.
        "high-availability.zookeeper.client.tolerate-suspended-connections": "true",
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.numberOfTaskSlots": 1,
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": config.flink,
        "web.submit.enable": "true",
        "web.cancel.enable": "true",
        "web.upload.dir": folder / "tmp" / "uploads",
        "web.refresh-interval": 2000,
        "io.tmp.dirs": folder / "tmp",
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": "true",
        "execution.checkpointing.dir": (folder / "checkpoints").as_uri(),
        "execution.checkpointing.savepoint-dir": (folder / "savepoints").as_uri(),
        "execution.checkpointing.tolerable-failed-checkpoints": 10,
        # The last checkpoint outlives the cluster, so that a job can be resumed after a crash of the whole machine.
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "heartbeat.interval": 1000,
        "heartbeat.timeout": 12000,
        "heartbeat.rpc-failure-threshold": 2,
        # A standalone cluster refuses slots it lacks at once: a restart is tried each second until the slots are back.
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 2147483647,
        "restart-strategy.fixed-delay.delay": "1 s",
        "classloader.resolve-order": "parent-first",
        "classloader.check-leaked-classloader": "false",
        "metrics.fetcher.update-interval": 2000,
        "metrics.reporter.prometheus.factory.class": PUSH_REPORTER,
        "metrics.reporter.prometheus.hostUrl": f"http://{LOOPBACK}:{config.metrics}",
        "metrics.reporter.prometheus.randomJobNameSuffix": "false",
        "metrics.reporter.prometheus.deleteOnShutdown": "false",
        "metrics.reporter.prometheus.interval": "5 s",
    }
    return "".join(f"{name}: {json.dumps(str(value))}\n" for name, value in settings.items())


def taskmanager_options(config: StackConfig, name: str) -> list[str]:
    """What Flink's shell scripts compute: it refuses to start without every memory size."""
    sizes = {
        "taskmanager.resource-id": name,
        "taskmanager.cpu.cores": "1",
        "taskmanager.memory.framework.heap.size": "128mb",
        "taskmanager.memory.framework.off-heap.size": "128mb",
        "taskmanager.memory.task.heap.size": f"{config.taskmanager_heap_mb}mb",
        "taskmanager.memory.task.off-heap.size": "0",
        "taskmanager.memory.managed.size": f"{config.managed_mb}mb",
        "taskmanager.memory.network.min": "64mb",
        "taskmanager.memory.network.max": "64mb",
        "taskmanager.memory.jvm-metaspace.size": "256mb",
        "taskmanager.memory.jvm-overhead.min": "192mb",
        "taskmanager.memory.jvm-overhead.max": "192mb",
        "metrics.reporter.prometheus.jobName": name,
    }
    return [part for key, value in sizes.items() for part in ("-D", f"{key}={value}")]


LOG4J_FLINK = """\
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
appender.file.name = file
appender.file.type = RollingFile
appender.file.fileName = ${sys:log.file}
appender.file.filePattern = ${sys:log.file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1.} [%t] %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 64MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
logger.kafka.name = kafka.server.metadata
logger.kafka.level = WARN
logger.zookeeper.name = org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.NIOServerCnxn
logger.zookeeper.level = ERROR
"""


def write_files(config: StackConfig) -> None:
    """All folders and files of a run folder, in its present settings."""
    folder = config.folder
    for name in ("conf", "logs", "tmp/uploads", "checkpoints", "savepoints", "ha", "jobs", "bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    config.save()
    (folder / "conf" / "config.yaml").write_text(flink_config(config), encoding="utf-8")
    (folder / "conf" / "log4j.properties").write_text(LOG4J_FLINK, encoding="utf-8")
    (folder / "conf" / "server.properties").write_text(kafka_properties(config), encoding="utf-8")
    (folder / "conf" / "zookeeper.properties").write_text(zookeeper_properties(config), encoding="utf-8")
