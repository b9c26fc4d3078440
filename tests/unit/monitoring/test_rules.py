"""Alerts, recorded figures, dashboards parse and name metrics that exist; each alert has its place in the docs."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.unit.k8s.manifests import OVERLAYS, of_kind

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "monitoring"


@cache
def rules(file: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@cache
def panels() -> dict[str, str]:
    """Expressions of the dashboards by panel, with the variables filled in as Grafana does."""
    found = {}
    for file in (MONITORING / "grafana").glob("*.json"):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", []):
                found[f"{file.name} {panel['title']} {target['refId']}"] = target["expr"].replace("$job", "a|b")
    return found


@cache
def expressions() -> dict[str, str]:
    recorded = {rule["record"]: rule["expr"] for rule in rules("recording.yml")}
    return {**recorded, **{rule["alert"]: rule["expr"] for rule in rules("alerts.yml")}, **panels()}


def metrics_of(expression: str) -> set[str]:
    """Names of the metrics that an expression asks for, found in what the parser makes of it."""
    text = promql_parser.parse(expression).prettify()
    return set(re.findall(r"\b(?:up|ALERTS|(?:florin|flink)[_:][a-zA-Z0-9_:]*)(?=[{\[\s),]|$)", text))


@cache
def documented() -> set[str]:
    """Names in the tables of metrics."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    return set(re.findall(r"^\| `(up|(?:florin|flink)_[a-zA-Z0-9_]+)` \|", text, re.MULTILINE))


@pytest.mark.parametrize("name", expressions())
def test_an_expression_parses_and_names_metrics_that_are_documented_or_recorded(name: str) -> None:
    recorded = {rule["record"] for rule in rules("recording.yml")}
    asked = metrics_of(expressions()[name])
    assert asked
    assert asked <= documented() | recorded


def test_every_recorded_figure_is_used() -> None:
    used = {metric for expression in expressions().values() for metric in metrics_of(expression)}
    assert {rule["record"] for rule in rules("recording.yml")} <= used


def test_every_alert_has_a_severity_a_summary_and_a_line_in_the_runbook() -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text()
    anchors = re.findall(r'<a id="(florin[a-z]+)"></a>`(Florin[A-Za-z]+)`', runbook)
    alerts = rules("alerts.yml")
    assert sorted(name for _, name in anchors) == sorted(rule["alert"] for rule in alerts)
    assert all(anchor == name.lower() for anchor, name in anchors)
    for rule in alerts:
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_every_alert_is_shown_to_fire_and_to_be_silent() -> None:
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    shown = [one for test in tests for one in test.get("alert_rule_test", [])]
    names = {rule["alert"] for rule in rules("alerts.yml")}
    assert {one["alertname"] for one in shown if one.get("exp_alerts")} == names
    assert {one["alertname"] for one in shown if not one.get("exp_alerts")} == names


@pytest.mark.parametrize("name", ["dashboards", "kubernetes"])
def test_what_is_made_by_code_is_what_the_code_makes(name: str) -> None:
    made = runpy.run_path(str(MONITORING / f"{name}.py"))
    assert made["FILE"].read_text() == made["build"](), f"run python monitoring/{name}.py"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_has_every_figure_and_alert(overlay: str) -> None:
    (rule,) = of_kind(overlay, "PrometheusRule").values()
    found = [one for group in rule["spec"]["groups"] for one in group["rules"]]
    assert found == rules("recording.yml") + rules("alerts.yml")


@pytest.mark.parametrize(
    "command", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")], ids=" ".join
)
def test_promtool_is_content(command: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; Debian has it: apt install --no-install-recommends prometheus")
    done = subprocess.run([promtool, *command], cwd=MONITORING, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
