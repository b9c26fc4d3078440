"""The processes of the stack: their command lines, and starting one so that it dies with the supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from flink import jars, object_store, postgres
from flink.config import StackConfig, taskmanager_options
from flink.death import die_with
from flink.errors import StackError
from flink.java import ADD_OPENS, find_java


@dataclass
class Child:
    """One process to keep running; `stop_signal` ends it in an orderly way within `stop_s` seconds."""

    name: str
    command: list[str]
    stop_signal: int = signal.SIGTERM
    stop_s: float = 10
    user: str | None = None
    env: dict[str, str] = field(default_factory=dict)


def flink_folder() -> Path:
    """Flink's distribution in the PyPI package apache-flink-libraries (importing pyflink itself is not needed)."""
    spec = find_spec("pyflink")
    locations = list(spec.submodule_search_locations or []) if spec else []
    for place in map(Path, locations):
        if (place / "lib").is_dir():
            return place
    raise StackError("Flink is not installed. Remedy: pip install 'apache-flink-libraries==1.20.5'")


def _class_path(files: list[Path]) -> dict[str, str]:
    """As an environment variable: on the command line 150 jars would hide all else that `ps` shows."""
    return {"CLASSPATH": os.pathsep.join(map(str, files))}


def _flink_jars() -> list[Path]:
    """Only what a DataStream program needs: the table planner's 60 MB would slow each start."""
    table = ("flink-table-", "flink-scala", "flink-cep", "flink-csv")
    return sorted(jar for jar in (flink_folder() / "lib").glob("*.jar") if not jar.name.startswith(table))


def _java(config: StackConfig, name: str, heap_mb: int, *flags: str) -> list[str]:
    return [
        str(find_java()),
        f"-Xms{min(heap_mb, 256)}m",
        f"-Xmx{heap_mb}m",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Djava.io.tmpdir={config.folder / 'tmp'}",
        f"-Dlog.file={config.folder / 'logs' / name}.log",
        f"-Dlog4j.configurationFile={(config.folder / 'conf' / 'log4j.properties').as_uri()}",
        *flags,
    ]


def kafka(config: StackConfig, *scram: str) -> Child:
    """`scram` are users of a new Kafka as its own tool writes them: `SCRAM-SHA-512=[name=...,password=...]`."""
    logging = [jar for jar in _flink_jars() if jar.name.startswith("log4j")]
    path = _class_path(jars.class_path("kafka") + logging)
    java = _java(config, "kafka", config.kafka_heap_mb, "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20")
    properties = str(config.folder / "conf" / "server.properties")
    if not (config.folder / "kafka" / "meta.properties").exists():
        cluster = uuid.uuid4().hex[:22]
        tool = [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c", properties]
        tool += [part for user in scram for part in ("--add-scram", user)]
        done = subprocess.run(tool, env={**os.environ, **path}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"Kafka cannot format {config.folder / 'kafka'}:\n{done.stdout}{done.stderr}")
    return Child("kafka", [*java, "kafka.Kafka", properties], stop_s=20, env=path)


def database(config: StackConfig) -> Child:
    command, user = postgres.prepare(config.folder / "postgres", config.postgres)
    return Child("postgres", command, stop_signal=signal.SIGINT, stop_s=15, user=user)


def objects(config: StackConfig) -> Child:
    command = object_store.prepare(config.folder / "objects", config.objects)
    return Child("objects", command, stop_s=5)


def metrics(config: StackConfig) -> Child:
    return Child("metrics", [sys.executable, "-m", "flink.metrics", str(config.metrics)], stop_s=3)


def _flink(config: StackConfig, name: str, heap: int, main: str, *flags: str) -> list[str]:
    # Neither runs hot code, Python does: the first compiler alone starts them quicker and leaves the cores to workers.
    java = _java(config, name, heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *ADD_OPENS, *flags)
    return [*java, main, "--configDir", str(config.folder / "conf")]


def _flink_env(path: list[Path]) -> dict[str, str]:
    folder = flink_folder()
    return {**_class_path(path), "FLINK_PLUGINS_DIR": str(folder / "plugins"), "FLINK_LIB_DIR": str(folder / "lib")}


def zookeeper(config: StackConfig) -> Child:
    """The server in Flink's own distribution: who leads, and where a job's graph and last checkpoints are."""
    main = "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.quorum.QuorumPeerMain"
    flags = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    command = _java(config, "zookeeper", config.zookeeper_heap_mb, *flags)
    path = [jar for jar in _flink_jars() if jar.name.startswith(("flink-dist", "log4j"))]
    return Child(
        "zookeeper", [*command, main, str(config.folder / "conf" / "zookeeper.properties")], env=_class_path(path)
    )


def jobmanager(config: StackConfig) -> Child:
    """Without Beam on its class path: each job's Beam is loaded with the job, so that it finds the job's pipeline."""
    main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    command = _flink(config, "jobmanager", config.jobmanager_heap_mb, main)
    command += ["--executionMode", "cluster", "-D", "metrics.reporter.prometheus.jobName=jobmanager"]
    return Child("jobmanager", command, env=_flink_env(_flink_jars()))


def taskmanager(config: StackConfig, number: int) -> Child:
    """With Beam on its class path, loaded once and not again at each restart of a job."""
    name = f"taskmanager-{number}"
    heap = config.taskmanager_heap_mb + 128
    main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    command = _flink(config, name, heap, main, "-XX:MaxDirectMemorySize=256m", "-XX:MaxMetaspaceSize=256m")
    path = _flink_jars() + jars.class_path("beam")
    return Child(name, command + taskmanager_options(config, name), env=_flink_env(path))


def start(config: StackConfig, child: Child) -> subprocess.Popen[bytes]:
    """Starts it in a session of its own, so that Ctrl-C in the terminal does not reach it."""
    out = config.folder / "logs" / f"{child.name}.out"
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(out.open("ab"))
        return subprocess.Popen(
            child.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=config.folder,
            env={**os.environ, **child.env},
            user=child.user,
            group=child.user,
            extra_groups=[] if child.user else None,
            start_new_session=True,
            preexec_fn=die_with(os.getpid(), child.stop_signal),
        )
