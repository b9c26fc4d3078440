"""The names that Prometheus' example configuration gives to what Flink's reporter shows."""

from __future__ import annotations

import pytest

from tests.scrape import NAME, Page, rules_of
from tests.unit.k8s.manifests import of_kind

pytestmark = pytest.mark.unit

BEAM = "flink_taskmanager_job_task_operator_"
ATTEMPT = 'job_id="1",task_id="2",task_attempt_id="3",task_attempt_num="0",operator_id="4",host="h",task_name="t"'
KEPT = {"job_name": "transfer", "subtask_index": "0", "tm_id": "a", "operator_name": "o"}


def kept(name: str) -> tuple[str, dict[str, str]]:
    """Name and labels that a metric of a task gets, without those that stay as they are."""
    labels = ",".join(f'{label}="{value}"' for label, value in KEPT.items())
    (sample,) = Page(f"{BEAM}{name}{{{labels},{ATTEMPT},}} 7\n").samples
    assert sample.value == 7
    assert KEPT.items() <= sample.labels.items()
    return sample.name, {key: value for key, value in sample.labels.items() if key not in {NAME, *KEPT}}


@pytest.mark.parametrize(
    ("raw", "name", "labels"),
    [
        ("transfer_records", "florin_records_total", {"system": "transfer"}),
        ("transfer_get_answers", "florin_outcomes_total", {"system": "transfer_get", "outcome": "answers"}),
        ("transfer_limit_blocked", "florin_outcomes_total", {"system": "transfer", "outcome": "limit_blocked"}),
        ("cards_duplicates", "florin_outcomes_total", {"system": "cards", "outcome": "duplicates"}),
        ("cards_rule_FT_1", "florin_rule_hits_total", {"system": "cards", "mode": "rule", "rule": "FT_1"}),
        ("cards_shadow_posted", "florin_rule_hits_total", {"system": "cards", "mode": "shadow", "rule": "posted"}),
        ("cards_rule_lag__x__1", "florin_rule_hits_total", {"system": "cards", "mode": "rule", "rule": "lag__x__1"}),
        ("cards_cards", "florin_cards", {"system": "cards"}),
        ("sequencer_latency_ms_le_250", "florin_latency_ms_bucket", {"system": "sequencer", "le": "250"}),
        ("read_model_latency_ms_le_inf", "florin_latency_ms_bucket", {"system": "read_model", "le": "+Inf"}),
        ("transfer_commit_ms_le_5", "florin_commit_ms_bucket", {"system": "transfer", "le": "5"}),
        ("cards_lag__a__b_log__12", "florin_lag_records", {"system": "cards", "topic": "a__b_log", "shard": "12"}),
        (
            "transfer_snapshot_size_bytes__log__0", "florin_snapshot_size_bytes",
            {"system": "transfer", "topic": "log", "shard": "0"},
        ),
        (
            "cards_snapshot_age_s__log__0", "florin_snapshot_age_seconds",
            {"system": "cards", "topic": "log", "shard": "0"},
        ),
        ("cards_turned_s__log__0", "florin_turned_seconds", {"system": "cards", "topic": "log", "shard": "0"}),
        ("subledger_posted", "florin_outcomes_total", {"system": "subledger", "outcome": "posted"}),
    ],
)  # fmt: skip
def test_a_metric_of_ours_gets_its_name_and_labels(raw: str, name: str, labels: dict[str, str]) -> None:
    assert kept(raw) == (name, labels)


def test_what_flink_counts_per_operator_is_left_out_and_what_it_says_of_jobs_stays() -> None:
    page = Page(
        f'{BEAM}numRecordsIn{{job_name="a"}} 1\n'
        'flink_taskmanager_job_task_numRecordsIn{job_name="a"} 1\n'
        'flink_jobmanager_job_numRestarts{job_name="a",job_id="9"} 2\n'
    )
    assert [sample.labels for sample in page.samples] == [{NAME: "flink_jobmanager_job_numRestarts", "job_name": "a"}]


def test_kubernetes_relabels_in_the_same_way() -> None:
    names = {"source_labels": "sourceLabels", "target_label": "targetLabel"}
    ours = [{names.get(key, key): value for key, value in rule.items()} for rule in rules_of("flink")]
    (endpoint,) = of_kind("overlays/prod", "PodMonitor")["florin-flink"]["spec"]["podMetricsEndpoints"]
    assert endpoint["metricRelabelings"] == ours
