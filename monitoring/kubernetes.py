"""k8s/base/monitoring.yaml, made by code: `python monitoring/kubernetes.py`. Names, figures and alerts are those of
prometheus.yml, recording.yml and alerts.yml, as the Prometheus operator wants them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
FILE = HERE.parent / "k8s" / "base" / "monitoring.yaml"
NOTE = "# Made by `python monitoring/kubernetes.py` from monitoring/*.yml.\n"
API = "monitoring.coreos.com/v1"
NAMES = {
    "scrape_interval": "interval", "scrape_timeout": "scrapeTimeout",
    "source_labels": "sourceLabels", "target_label": "targetLabel",
}  # fmt: skip
"""What Prometheus calls a field, and what its operator does."""

Object = dict[str, Any]


def build() -> str:
    """The objects as YAML."""
    told = _read("prometheus.yml")
    scrapes = {one["job_name"]: {**told["global"], **one} for one in told["scrape_configs"]}
    groups = [group for file in ("recording.yml", "alerts.yml") for group in _read(file)["groups"]]
    # Every JobManager and TaskManager answers Prometheus itself; the local stack's single page exists only there.
    flink = _monitor("florin-flink", scrapes["flink"], {
        "matchLabels": {"app.kubernetes.io/part-of": "florin"},
        "matchExpressions": [{"key": "component", "operator": "In", "values": ["jobmanager", "taskmanager"]}],
    })  # fmt: skip
    (endpoint,) = flink["spec"]["podMetricsEndpoints"]
    endpoint["relabelings"] = [
        {"sourceLabels": ["__meta_kubernetes_pod_label_app"], "targetLabel": "deployment"},
        {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "process"},
    ]
    exporter = _monitor("florin-exporter", scrapes["florin"], {"matchLabels": {"app.kubernetes.io/name": "exporter"}})
    rule = _object("PrometheusRule", "florin", {"groups": groups})
    text: str = yaml.dump_all(
        [flink, exporter, rule], Dumper=_Plain, sort_keys=False, default_flow_style=None, width=115
    )
    return NOTE + text


def _monitor(name: str, scrape: Object, selector: Object) -> Object:
    endpoint = {"port": "metrics", "path": "/metrics", **_renamed(scrape, {"scrape_interval", "scrape_timeout"})}
    if "metric_relabel_configs" in scrape:
        endpoint["metricRelabelings"] = [_renamed(one, set(one)) for one in scrape["metric_relabel_configs"]]
    return _object("PodMonitor", name, {"selector": selector, "podMetricsEndpoints": [endpoint]})


def _renamed(given: Object, wanted: set[str]) -> Object:
    return {NAMES.get(key, key): value for key, value in given.items() if key in wanted}


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _read(name: str) -> Any:
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


if __name__ == "__main__":
    FILE.write_text(build(), encoding="utf-8")
