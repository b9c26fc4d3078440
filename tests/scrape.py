"""A page of metrics as Prometheus keeps it: what it says, relabelled by monitoring/prometheus.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

CONFIG = Path(__file__).parents[1] / "monitoring" / "prometheus.yml"
NAME = "__name__"


@dataclass(frozen=True)
class Sample:
    """One value of a page."""

    labels: dict[str, str]
    value: float

    @property
    def name(self) -> str:
        """The metric."""
        return self.labels[NAME]


class Page:
    """All samples of a scrape."""

    def __init__(self, text: str, job: str = "flink") -> None:
        rules = rules_of(job)
        found = [
            Sample({NAME: sample.name, **sample.labels}, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
        kept = ((relabel(sample.labels, rules), sample.value) for sample in found)
        self.samples = [Sample(labels, value) for labels, value in kept if labels is not None]

    def names(self) -> set[str]:
        """The metrics that are there."""
        return {sample.name for sample in self.samples}

    def find(self, name: str, **labels: str) -> Iterator[Sample]:
        """Samples of a metric with these labels."""
        for sample in self.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                yield sample

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric with these labels."""
        return sum(sample.value for sample in self.find(name, **labels))

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The same by the values of another label."""
        found: dict[str, float] = {}
        for sample in self.find(name, **labels):
            key = sample.labels.get(label, "")
            found[key] = found.get(key, 0) + sample.value
        return found


def text_of(url: str) -> str:
    """What an address answers."""
    answer = httpx.get(url, timeout=20, trust_env=False)
    answer.raise_for_status()
    return answer.text


def rules_of(job: str) -> list[dict[str, Any]]:
    """Prometheus' rules for the samples of a scrape job."""
    (scrape,) = [one for one in yaml.safe_load(CONFIG.read_text())["scrape_configs"] if one["job_name"] == job]
    return list(scrape.get("metric_relabel_configs", []))


def relabel(labels: dict[str, str], rules: list[dict[str, Any]]) -> dict[str, str] | None:
    """The labels after Prometheus' rules of the kinds that we use, None for a dropped sample."""
    labels = dict(labels)
    for rule in rules:
        action, pattern = rule.get("action", "replace"), re.compile(rule["regex"])
        if action == "labeldrop":
            labels = {name: value for name, value in labels.items() if pattern.fullmatch(name) is None}
            continue
        match = pattern.fullmatch(";".join(labels.get(name, "") for name in rule["source_labels"]))
        if match is None:
            continue
        if action == "drop":
            return None
        assert action == "replace", action
        labels[rule["target_label"]] = match.expand(re.sub(r"\$\{?(\d+)\}?", r"\\g<\1>", rule["replacement"]))
    return labels
