"""Flink in application mode, as its Kubernetes operator starts it: a JobManager that runs one jar, and TaskManagers.

Of the operator's doing only this is here: settings by -D, a savepoint to start from, stop with a savepoint by REST.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from itertools import islice
from pathlib import Path

from flink import children, jars, uber
from flink.children import Child
from flink.config import StackConfig, write_files
from flink.processes import is_free
from flink.rest import TERMINAL, FlinkError, FlinkRest
from tests.conftest import Florin, eventually

MAIN = "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint"


NO_ZOOKEEPER = {"high-availability.type": "NONE"}


class Application(Florin):
    """The session's stack, with a Flink beside it that runs one job; commands still find the stack's Kafka."""

    def __init__(self, florin: Florin, home: Path, taskmanagers: int) -> None:
        super().__init__(florin.home)
        web, rpc = islice((port for port in range(23_500, 24_400) if is_free(port)), 2)
        metrics = StackConfig.load(self.home).metrics
        self._config = StackConfig(str(home), flink=web, jobmanager=rpc, metrics=metrics, taskmanagers=taskmanagers)
        self._running: list[subprocess.Popen[bytes]] = []

    def rest(self) -> FlinkRest:
        """The application's own REST API."""
        return FlinkRest(self._config.flink_url)

    def start(self, jar: Path, parallelism: int, savepoint: str | None = None) -> None:
        """Run the jar; returns when its job runs."""
        write_files(self._config)
        for child in (self._jobmanager(jar, parallelism, savepoint), *self._taskmanagers()):
            self._running.append(children.start(self._config, child))
        eventually("the job runs", self._runs)

    def _jobmanager(self, jar: Path, parallelism: int, savepoint: str | None) -> Child:
        session = children.jobmanager(self._config)
        java = session.command[: session.command.index("--configDir") - 1]
        settings = {
            **NO_ZOOKEEPER,
            "parallelism.default": str(parallelism),
            "execution.shutdown-on-application-finish": "false",
            # A copy of the jar goes there, and one of that name that is there already would be run instead.
            "user.artifacts.base-dir": str(self._config.folder / "artifacts"),
        }
        command = [*java, MAIN, "--configDir", str(self._config.folder / "conf"), "--jars", jar.as_uri()]
        command += ["--job-classname", uber.ENTRY_CLASS, *(["--fromSavepoint", savepoint] if savepoint else [])]
        command += [f"-D{name}={value}" for name, value in settings.items()]
        return Child(session.name, command, env=session.env)

    def _taskmanagers(self) -> list[Child]:
        """With Beam as one entry at the end of the class path, as in the image."""
        beam = self._config.folder / "beam.jar"
        beam.write_bytes(uber.path_jar(jars.class_path("beam")))
        flink = children.jobmanager(self._config).env["CLASSPATH"]
        made = [children.taskmanager(self._config, number + 1) for number in range(self._config.taskmanagers)]
        more = [f"-D{name}={value}" for name, value in NO_ZOOKEEPER.items()]
        path = {"CLASSPATH": f"{flink}{os.pathsep}{beam}"}
        return [replace(child, command=[*child.command, *more], env={**child.env, **path}) for child in made]

    def _runs(self) -> bool:
        died = [process.args for process in self._running if process.poll() is not None]
        assert not died, f"ended: {died}; logs in {self._config.folder / 'logs'}"
        try:
            with self.rest() as rest:
                states = [
                    vertex["status"]
                    for job in rest.jobs() if job["state"] not in TERMINAL
                    for vertex in rest.job(job["jid"])["vertices"]
                ]  # fmt: skip
        except FlinkError:
            return False
        return bool(states) and set(states) == {"RUNNING"}

    def end(self) -> None:
        """End every process, as the operator deletes a deployment."""
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            process.wait(30)
        self._running.clear()
