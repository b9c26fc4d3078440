"""The objects of k8s/ as the tests look at them: rendered, their pods found, their arguments expanded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.unit.k8s.render import Object, build

ROOT = Path(__file__).resolve().parents[3]
K8S = ROOT / "k8s"
OVERLAYS = ("overlays/dev", "overlays/prod")
EXAMPLES = ("examples/kafka", "examples/postgres")
MAIN = "flink-main-container"


@cache
def _rendered(name: str) -> str:
    return json.dumps(build(K8S / name))


def objects(name: str) -> list[Object]:
    """The objects of an overlay or example, to be changed as one likes."""
    found: list[Object] = json.loads(_rendered(name))
    return found


def of_kind(name: str, kind: str) -> dict[str, Object]:
    """Objects of one kind, by name."""
    return {one["metadata"]["name"]: one for one in objects(name) if one["kind"] == kind}


@dataclass(frozen=True)
class Pod:
    """A pod as it will be: its labels and its spec."""

    name: str
    labels: dict[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        """All, those that run first too."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def pods(name: str) -> Iterator[Pod]:
    """Every pod that the objects make; of a FlinkDeployment the JobManager's and the TaskManager's, merged."""
    for one in objects(name):
        label = f"{one['kind']}/{one['metadata']['name']}"
        if one["kind"] == "Deployment":
            template = one["spec"]["template"]
        elif one["kind"] == "CronJob":
            template = one["spec"]["jobTemplate"]["spec"]["template"]
        elif one["kind"] == "FlinkDeployment":
            for part in ("jobManager", "taskManager"):
                yield _flink_pod(one, part)
            continue
        else:
            continue
        yield Pod(label, template["metadata"]["labels"], template["spec"])


def _flink_pod(one: Object, part: str) -> Pod:
    common, own = one["spec"]["podTemplate"], one["spec"][part].get("podTemplate", {})
    # The operator merges lists by position: what one of the two says, the other must not.
    assert not common["spec"].keys() & own.get("spec", {}).keys(), f"{one['metadata']['name']} {part}"
    labels = {**common["metadata"]["labels"], "app": one["metadata"]["name"], "component": part.lower()}
    return Pod(f"{one['metadata']['name']} {part}", labels, {**common["spec"], **own.get("spec", {})})


def environment(name: str) -> dict[str, str]:
    """What the ConfigMap gives every process."""
    return dict(of_kind(name, "ConfigMap")["florin"]["data"])


def command(name: str, container: Object) -> tuple[str, list[str], list[str]]:
    """Module, words of a command, arguments, as the container sees them. Names in $(...) are expanded."""
    known = environment(name)
    first, second, module, *words = container["command"]
    assert (first, second) == ("python", "-m"), container
    return module, words, [re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], word)
                           for word in container.get("args", [])]  # fmt: skip


def runs_python(container: Object) -> bool:
    return bool(container.get("command", [""])[0] == "python")


def walk(part: Any) -> Iterator[Any]:
    """Every dictionary inside."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    for inner in part if isinstance(part, list) else ():
        yield from walk(inner)
