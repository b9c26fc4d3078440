"""Every manifest fits the schema of its kind, every name in it is there, and no pod has more rights than it needs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.unit.k8s.manifests import EXAMPLES, K8S, OVERLAYS, ROOT, objects, of_kind, pods, runs_python, walk
from tests.unit.k8s.render import Object, build

pytestmark = pytest.mark.unit
SCHEMAS = Path(__file__).with_name("schemas")
EVERY = (*OVERLAYS, *EXAMPLES)
REGISTRY: Registry[Any] = Registry().with_resources(
    (file.name, Resource.from_contents(json.loads(file.read_text()))) for file in SCHEMAS.glob("*.json")
)


def schema_of(one: Object) -> Path:
    """Schema files are named as kubeconform looks for them: kind, first word of the group, version."""
    group, _, version = one["apiVersion"].rpartition("/")
    return SCHEMAS / f"{'-'.join(filter(None, (one['kind'].lower(), group.split('.')[0], version)))}.json"


def mistakes(one: Object) -> list[str]:
    file = schema_of(one)
    assert file.exists(), f"{one['metadata']['name']}: no {file.name}; see {SCHEMAS / 'README.md'}"
    found = Draft202012Validator({"$ref": file.name}, registry=REGISTRY).iter_errors(one)
    return [f"{one['kind']}/{one['metadata']['name']} {error.json_path}: {error.message[:200]}" for error in found]


@pytest.mark.parametrize("name", EVERY)
def test_every_object_fits_the_schema_of_its_kind(name: str) -> None:
    made = objects(name)
    assert len(made) == len({(one["kind"], one["metadata"]["name"]) for one in made})
    assert [mistake for one in made for mistake in mistakes(one)] == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("FlinkDeployment", "spec.job.upgrademode", "savepoint"),
        ("FlinkDeployment", "spec.job.upgradeMode", "last_state"),
        ("FlinkDeployment", "spec.podTemplate.spec.containers.0.securityContext.readOnlyRootFileSystem", True),
        ("Deployment", "spec.template.spec.containers.0.envFrom.0.configMapRef.nam", "florin"),
        ("NetworkPolicy", "spec.egress.0.ports.0.protocoll", "TCP"),
        ("PodMonitor", "spec.podMetricsEndpoints.0.intervall", "15s"),
        ("PrometheusRule", "spec.groups.1.rules.0.four", "2m"),
        ("CronJob", "spec.jobTemplate.spec.backoffLimit", "none"),
    ],
)
def test_a_mistake_is_found(kind: str, path: str, value: object) -> None:
    one = next(iter(of_kind("overlays/prod", kind).values()))
    *way, last = path.split(".")
    place: Any = one
    for part in way:
        place = place[int(part) if isinstance(place, list) else part]
    place[last] = value
    assert any(last in mistake or str(value) in mistake for mistake in mistakes(one)), mistakes(one)


@pytest.mark.parametrize("name", EVERY)
def test_kustomize_makes_the_same(name: str) -> None:
    if shutil.which("kustomize") is None:
        pytest.skip("there is no kustomize on the path; the other tests render with tests/unit/k8s/render.py")
    told = subprocess.run(["kustomize", "build", str(K8S / name)], capture_output=True, text=True, check=True).stdout
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(told)}
    assert by_name == {(one["kind"], one["metadata"]["name"]): one for one in build(K8S / name)}


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_container_is_confined(name: str) -> None:
    found = list(pods(name))
    assert len(found) >= 15
    for pod in found:
        allowed = pod.spec["securityContext"]
        assert allowed["runAsNonRoot"] is True, pod.name
        assert allowed["runAsUser"] == allowed["runAsGroup"] == 9999, pod.name
        assert allowed["seccompProfile"] == {"type": "RuntimeDefault"}, pod.name
        assert not pod.spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}, pod.name
        for container in pod.containers:
            inner = container["securityContext"]
            assert inner["allowPrivilegeEscalation"] is False, pod.name
            assert inner["readOnlyRootFilesystem"] is True, pod.name
            assert inner["capabilities"] == {"drop": ["ALL"]}, pod.name
        assert all("emptyDir" not in volume or "sizeLimit" in volume["emptyDir"] for volume in pod.spec["volumes"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_container_has_limits(name: str) -> None:
    for pod in pods(name):
        for container in pod.containers:
            if container["name"] != "flink-main-container":
                assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), pod.name
                assert "memory" in container["resources"]["limits"], pod.name
    for one in of_kind(name, "FlinkDeployment").values():
        for part in ("jobManager", "taskManager"):
            assert one["spec"][part]["resource"].keys() == {"cpu", "memory"}, one["metadata"]["name"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_a_pod_names_is_there(name: str) -> None:
    accounts, claims, maps = (of_kind(name, kind).keys() for kind in
                              ("ServiceAccount", "PersistentVolumeClaim", "ConfigMap"))  # fmt: skip
    for pod in pods(name):
        volumes = {volume["name"] for volume in pod.spec["volumes"]}
        for container in pod.containers:
            mounted = [mount["name"] for mount in container["volumeMounts"]]
            assert set(mounted) <= volumes, f"{pod.name}: {mounted}"
            assert "tmp" in mounted or not runs_python(container), f"{pod.name}: Python needs a folder it can write"
        for part in walk(pod.spec):
            if "claimName" in part:
                assert part["claimName"] in claims, pod.name
            if "configMapRef" in part:
                assert part["configMapRef"]["name"] in maps, pod.name
        assert pod.spec.get("serviceAccountName", "florin-jobmanager") in accounts, pod.name


def secrets(name: str) -> set[str]:
    """Names of all Secrets that pods need or take if they are there."""
    found = set()
    for pod in pods(name):
        for part in walk(pod.spec):
            found |= {part[key]["name"] for key in ("secretRef", "secretKeyRef", "secret")
                      if key in part and "name" in part[key]}  # fmt: skip
            found |= {part["secretName"]} if "secretName" in part else set()
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_secrets_are_named_in_the_guide_and_never_hold_a_value_here(name: str) -> None:
    guide = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert len(secrets(name)) >= 6
    assert {secret for secret in secrets(name) if f"`{secret}`" not in guide} == set()
    assert of_kind(name, "Secret") == {}
    for example in EXAMPLES:
        for one in of_kind(example, "Secret").values():
            assert not re.search(r"password[=\"':\s]+\w", json.dumps(one["stringData"])), one["metadata"]["name"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_selects_pods_meets_pods(name: str) -> None:
    """Policies, budgets and monitors: by labels, of ours; another cluster's are in the examples."""
    every = [pod.labels for pod in pods(name)]
    selectors = [(one["metadata"]["name"], one["spec"].get("podSelector") or one["spec"]["selector"])
                 for kind in ("NetworkPolicy", "PodDisruptionBudget", "PodMonitor")
                 for one in of_kind(name, kind).values()]  # fmt: skip
    assert len(selectors) >= 10
    for label, selector in selectors:
        assert any(meets(selector, labels) for labels in every), f"{label}: {selector}"


def meets(selector: Object, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    among = selector.get("matchExpressions", [])
    assert all(one["operator"] == "In" for one in among), selector
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        labels.get(one["key"]) in one["values"] for one in among
    )


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_pod_may_reach_what_it_calls(name: str) -> None:
    for pod in pods(name):
        text = json.dumps(pod.spec)
        assert ("PGPASSWORD" in text) <= (pod.labels.get("florin/needs-postgres") == "true"), pod.name
        modules = {container["command"][2] for container in pod.containers if runs_python(container)}
        if modules & {"jobs.transfer", "jobs.read_model", "jobs.cards", "jobs.audit"}:
            assert pod.labels["florin/needs-kafka"] == "true", pod.name
        if modules & {"jobs.card_history", "jobs.subledger"} and "prepare" not in text:
            assert pod.labels["florin/needs-session"] == "true", pod.name
    assert of_kind(name, "NetworkPolicy")["florin-default"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert all(pod.labels["app.kubernetes.io/part-of"] == "florin" for pod in pods(name))


@pytest.mark.parametrize("name", OVERLAYS)
def test_one_part_can_be_applied_by_its_label(name: str) -> None:
    for kind in ("FlinkDeployment", "Deployment", "CronJob"):
        for label, one in of_kind(name, kind).items():
            found = one["metadata"]["labels"]
            assert found["app.kubernetes.io/name"] == label.removeprefix("florin-"), label
            assert found["app.kubernetes.io/part-of"] == "florin", label
    for pod in pods(name):
        assert pod.labels["app.kubernetes.io/name"] in pod.name, pod.name
