"""Owns the processes of a local stack: starts them, restarts what dies, stops all on SIGTERM, rereads on SIGHUP."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from flink import children
from flink.children import Child
from flink.config import StackConfig, write_atomic
from flink.processes import Ident

LOOK_S = 0.1
# A process that ran this long had a good start: the next restart is immediate again.
STEADY_S = 30
LONGEST_PAUSE_S = 10.0
log = logging.getLogger("florin.supervisor")


@dataclass
class Kept:
    """A child, its present process, and when it may be started again."""

    child: Child
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    pause: float = 0.0
    restarts: int = 0
    ident: Ident | None = field(default=None)


class Supervisor:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = StackConfig.load(home)
        self.kept: dict[str, Kept] = {}
        self.stopping = False
        self.reread = False

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reread)
        try:
            self._start_all()
            while not self.stopping:
                if self.reread:
                    self._adjust()
                self._look_after()
                time.sleep(LOOK_S)
        finally:
            self._stop(list(self.kept))
            (self.home / "stack.json").unlink(missing_ok=True)
            log.info("stopped")

    def _on_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _on_reread(self, _signum: int, _frame: FrameType | None) -> None:
        self.reread = True

    def _start_all(self) -> None:
        """Flink first, since it is the slowest; in this order they are stopped from the end."""
        makers: list[Callable[[StackConfig], Child]] = [children.metrics, children.zookeeper, children.jobmanager]
        for make in [*makers, *self._taskmanagers(), children.database, children.objects, children.kafka]:
            if self.stopping:
                return
            self._keep(make(self.config))

    def _taskmanagers(self) -> list[Callable[[StackConfig], Child]]:
        def maker(number: int) -> Callable[[StackConfig], Child]:
            return lambda config: children.taskmanager(config, number)

        return [maker(number) for number in range(1, self.config.taskmanagers + 1)]

    def _keep(self, child: Child) -> None:
        self.kept[child.name] = Kept(child)
        self._launch(self.kept[child.name])

    def _launch(self, kept: Kept) -> None:
        if kept.child.name == "postgres" and kept.restarts:
            kept.child = children.database(self.config)
        kept.process = children.start(self.config, kept.child)
        kept.ident = Ident.of(kept.process.pid)
        kept.started = time.monotonic()
        log.info("%s: started, pid %d", kept.child.name, kept.process.pid)
        self._write_state()

    def _look_after(self) -> None:
        now = time.monotonic()
        for kept in self.kept.values():
            if kept.process is not None and kept.process.poll() is not None:
                steady = now - kept.started > STEADY_S
                kept.pause = 0.0 if steady else min(max(1.0, kept.pause * 2), LONGEST_PAUSE_S)
                kept.not_before = now + kept.pause
                log.warning("%s: ended with %d; starts again", kept.child.name, kept.process.returncode)
                kept.process, kept.ident = None, None
                kept.restarts += 1
                self._write_state()
            if kept.process is None and now >= kept.not_before:
                self._launch(kept)

    def _adjust(self) -> None:
        """More or fewer TaskManagers, as the settings file says now."""
        self.reread = False
        self.config = StackConfig.load(self.home)
        wanted = {f"taskmanager-{number}": number for number in range(1, self.config.taskmanagers + 1)}
        self._stop([name for name in self.kept if name.startswith("taskmanager-") and name not in wanted])
        for name, number in wanted.items():
            if name not in self.kept:
                self._keep(children.taskmanager(self.config, number))
        self._write_state()

    def _stop(self, names: list[str]) -> None:
        """TaskManagers first, so that jobs end their transactions while Kafka lives; then the servers together.

        ZooKeeper last: the JobManager takes its leave of it.
        """
        tasks = [name for name in names if name.startswith("taskmanager-")]
        last = [name for name in names if name == "zookeeper"]
        for group in (tasks, [name for name in names if name not in (*tasks, *last)], last):
            for name in group:
                kept = self.kept[name]
                if kept.process is not None and kept.process.poll() is None:
                    kept.process.send_signal(kept.child.stop_signal)
            for name in group:
                kept = self.kept.pop(name)
                if kept.process is None:
                    continue
                try:
                    kept.process.wait(kept.child.stop_s)
                except subprocess.TimeoutExpired:
                    log.warning("%s: did not stop within %.0f s; killed", name, kept.child.stop_s)
                    kept.process.kill()
                    kept.process.wait(5)

    def _write_state(self) -> None:
        config = self.config
        me = Ident.of(os.getpid())
        state = {
            "home": config.home,
            "kafka": config.kafka_address,
            "flink": config.flink_url,
            "postgres": config.postgres_url,
            "objects": config.objects_url,
            "prometheus": config.metrics_url,
            "taskmanagers": config.taskmanagers,
            "supervisor": {"pid": os.getpid(), "started": me.started if me else 0.0},
            "pids": {
                name: {"pid": kept.ident.pid, "started": kept.ident.started}
                for name, kept in self.kept.items()
                if kept.ident
            },
            "restarts": {name: kept.restarts for name, kept in self.kept.items()},
        }
        write_atomic(self.home / "stack.json", json.dumps(state, indent=1) + "\n")


def main() -> int:
    home = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        Supervisor(home).run()
    except Exception:
        log.exception("the supervisor failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
