"""As much of `kustomize build` as k8s/ uses; what it does not know it refuses."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
KNOWN = {"apiVersion", "kind", "namespace", "resources", "patches", "images", "configurations", "configMapGenerator"}


def documents(file: Path) -> list[Object]:
    """The objects in a file."""
    return [found for found in yaml.safe_load_all(file.read_text(encoding="utf-8")) if found is not None]


def build(folder: Path) -> list[Object]:
    """The objects of a kustomization, in order."""
    told = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert not (unknown := told.keys() - KNOWN), f"{folder}: this test does not know {unknown}"
    objects: list[Object] = []
    for name in told["resources"]:
        place = folder / name
        objects += build(place.resolve()) if place.is_dir() else documents(place)
    objects += [_config_map(folder, one) for one in told.get("configMapGenerator", [])]
    for patch in told.get("patches", []):
        _apply(folder, patch, objects)
    for one in objects:
        if "namespace" in told:
            _into(told["namespace"], one)
        for image in told.get("images", []):
            _set_image(one, image["name"], f"{image.get('newName', image['name'])}:{image['newTag']}")
    return objects


def _config_map(folder: Path, told: Object) -> Object:
    assert told["options"] == {"disableNameSuffixHash": True}, told
    data = {name: (folder / name).read_text(encoding="utf-8") for name in told["files"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": told["name"]}, "data": data}


def _apply(folder: Path, patch: Object, objects: list[Object]) -> None:
    change = yaml.safe_load((folder / patch["path"]).read_text(encoding="utf-8"))
    target = patch.get("target") or {"kind": change["kind"], "name": change["metadata"]["name"]}
    assert target.keys() <= {"kind", "name"}, f"{folder}: this test does not know the target {target}"
    met = [one for one in objects if one["kind"] == target["kind"]
           and re.fullmatch(target.get("name", ".*"), one["metadata"]["name"])]  # fmt: skip
    assert met, f"{folder}: {patch} meets nothing"
    for one in met:
        if isinstance(change, list):
            for operation in change:
                _operate(one, operation)
        else:
            _merge(one, {**change, "metadata": {**change["metadata"], "name": one["metadata"]["name"]}})


def _operate(one: Object, operation: Object) -> None:
    """One step of a JSON patch (RFC 6902): add and replace."""
    *way, last = operation["path"].lstrip("/").split("/")
    place: Any = one
    for part in way:
        place = place[int(part) if isinstance(place, list) else part]
    if isinstance(place, list):
        assert last == "-", operation
        assert operation["op"] == "add", operation
        place.append(deepcopy(operation["value"]))
    else:
        assert operation["op"] in ("add", "replace"), operation
        assert (last in place) == (operation["op"] == "replace"), f"{one['metadata']['name']}: {operation}"
        place[last] = deepcopy(operation["value"])


def _merge(one: Object, change: Object) -> None:
    """A merge patch (RFC 7396): a list replaces a list."""
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(one.get(name), dict):
            _merge(one[name], value)
        else:
            one[name] = deepcopy(value)


def _into(namespace: str, one: Object) -> None:
    one["metadata"]["namespace"] = namespace
    for subject in one.get("subjects", []):
        subject["namespace"] = namespace


def _set_image(part: Any, name: str, image: str) -> None:
    if isinstance(part, list):
        for inner in part:
            _set_image(inner, name, image)
    elif isinstance(part, dict):
        if part.get("image") == name:
            part["image"] = image
        for inner in part.values():
            _set_image(inner, name, image)
