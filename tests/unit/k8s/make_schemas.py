"""Make schemas/ anew: JSON schemas of the kinds that k8s/ uses, without descriptions, strict about unknown names.

    python tests/unit/k8s/make_schemas.py SWAGGER CRD...

SWAGGER is api/openapi-spec/swagger.json of k8s.io/kubernetes, each CRD a file of an operator; schemas/README.md names
the versions. File names are those that kubeconform looks for.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

SCHEMAS = Path(__file__).with_name("schemas")
BUILT_IN = {
    "configmap-v1": "io.k8s.api.core.v1.ConfigMap",
    "cronjob-batch-v1": "io.k8s.api.batch.v1.CronJob",
    "deployment-apps-v1": "io.k8s.api.apps.v1.Deployment",
    "networkpolicy-networking-v1": "io.k8s.api.networking.v1.NetworkPolicy",
    "persistentvolumeclaim-v1": "io.k8s.api.core.v1.PersistentVolumeClaim",
    "poddisruptionbudget-policy-v1": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "role-rbac-v1": "io.k8s.api.rbac.v1.Role",
    "rolebinding-rbac-v1": "io.k8s.api.rbac.v1.RoleBinding",
    "secret-v1": "io.k8s.api.core.v1.Secret",
    "serviceaccount-v1": "io.k8s.api.core.v1.ServiceAccount",
}
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
WHOLE = frozenset({"type", "properties", "items", "required", "enum", "pattern", "additionalProperties", "anyOf",
                   "oneOf", "allOf", "not", "$ref", "minimum", "maximum", "minLength", "maxLength", "minItems",
                   "maxItems"})  # fmt: skip
# What is named again and longer than this is written once.
LONG = 200


def trimmed(schema: Any) -> Any:
    """What JSON Schema knows of it; an object with properties has no others."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties":
            kept[name] = {key: trimmed(inner) for key, inner in value.items()}
        elif name in ("anyOf", "oneOf", "allOf"):
            kept[name] = [trimmed(inner) for inner in value]
        elif name in ("items", "additionalProperties", "not"):
            kept[name] = trimmed(value)
        elif name in WHOLE:
            kept[name] = value
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if "properties" in kept and "additionalProperties" not in kept and not open_ended:
        kept["additionalProperties"] = False
    if schema.get("nullable") and "type" in kept:
        kept["type"] = [kept["type"], "null"]
    return kept


def shared(schema: dict[str, Any]) -> dict[str, Any]:
    """The same with repeated parts as $defs."""
    counts: Counter[str] = Counter()

    def text(part: Any) -> str:
        return json.dumps(part, sort_keys=True)

    def count(part: Any) -> None:
        if isinstance(part, dict):
            if "type" in part and len(text(part)) > LONG:
                counts[text(part)] += 1
                if counts[text(part)] > 1:
                    return
            part = list(part.values())
        for inner in part if isinstance(part, list) else ():
            count(inner)

    definitions: dict[str, Any] = {}

    def replaced(part: Any) -> Any:
        if isinstance(part, list):
            return [replaced(inner) for inner in part]
        if not isinstance(part, dict):
            return part
        if counts.get(key := text(part), 0) > 1:
            name = hashlib.sha256(key.encode()).hexdigest()[:10]
            if name not in definitions:
                definitions[name] = {}
                definitions[name] = {key: replaced(value) for key, value in part.items()}
            return {"$ref": f"#/$defs/{name}"}
        return {key: replaced(value) for key, value in part.items()}

    count(schema)
    made: dict[str, Any] = replaced(schema)
    return {**made, "$defs": dict(sorted(definitions.items()))}


def write(name: str, schema: dict[str, Any]) -> None:
    """One line for each top part, so that a change of version can be read."""
    text = json.dumps({"$schema": DIALECT, **schema}, separators=(",", ":"), sort_keys=True)
    (SCHEMAS / f"{name}.json").write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")


def built_in(swagger: Path) -> None:
    """kubernetes.json with all definitions that ours need, and a file that points into it for each kind."""
    definitions = json.loads(swagger.read_text(encoding="utf-8"))["definitions"]
    definitions[QUANTITY] = {"type": ["string", "number"]}
    found: dict[str, Any] = {}
    wanted = list(BUILT_IN.values())
    while wanted:
        if (name := wanted.pop()) not in found:
            found[name] = trimmed(definitions[name])
            wanted += [part.split('"')[0] for part in json.dumps(found[name]).split("#/definitions/")[1:]]
    text = json.dumps({"$defs": dict(sorted(found.items()))}).replace("#/definitions/", "#/$defs/")
    write("kubernetes", json.loads(text))
    for name, kind in BUILT_IN.items():
        write(name, {"$ref": f"kubernetes.json#/$defs/{kind}"})


def custom(file: Path) -> None:
    """The newest version of a custom resource."""
    crd = yaml.safe_load(file.read_text(encoding="utf-8"))
    version = next(version for version in crd["spec"]["versions"] if version["storage"])
    schema = trimmed(version["schema"]["openAPIV3Schema"])
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    schema["properties"] |= {
        "apiVersion": {"const": f"{group}/{version['name']}"}, "kind": {"const": kind}, "metadata": {"type": "object"},
    }  # fmt: skip
    schema["properties"].pop("status", None)
    write(f"{kind.lower()}-{group.split('.')[0]}-{version['name']}", shared(schema))


if __name__ == "__main__":
    built_in(Path(sys.argv[1]))
    for crd in sys.argv[2:]:
        custom(Path(crd))
