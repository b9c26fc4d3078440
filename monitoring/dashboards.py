"""Grafana's dashboard, made by code: `python monitoring/dashboards.py` writes monitoring/grafana/florin.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef

FILE = Path(__file__).parent / "grafana" / "florin.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
JOB = 'job_name=~"$job"'


@dataclass(frozen=True)
class Graph:
    """A time series panel: its title, what a reader should know of it, its unit, and legend and expression of each."""

    title: str
    about: str
    unit: str
    lines: tuple[tuple[str, str], ...]


def graph(title: str, about: str, unit: str, *lines: tuple[str, str]) -> Graph:
    """A panel of `lines`, each (legend, expression)."""
    return Graph(title, about, unit, lines)


ROWS: dict[str, list[Graph]] = {
    "What goes through": [
        graph(
            "Records", "Records of the logs that were decided and committed.", "ops",
            ("{{job_name}} {{system}}", f"florin:records:rate1m{{{JOB}}}"),
        ),
        graph(
            "Outcomes", "What became of them.", "ops",
            ("{{system}} {{outcome}}", f"sum by (system, outcome) (rate(florin_outcomes_total{{{JOB}}}[1m]))"),
        ),
        graph(
            "Latency", "From append to the log to commit of what the record caused; the clocks of brokers and workers.",
            "ms",
            ("{{system}} p50", f"florin:latency_ms:p50{{{JOB}}}"),
            ("{{system}} p99", f"florin:latency_ms:p99{{{JOB}}}"),
        ),
        graph(
            "Slower than 250 ms", "Share of the records.", "percentunit",
            ("{{job_name}} {{system}}", f"florin:latency_over_250ms:ratio5m{{{JOB}}}"),
        ),
        graph(
            "Dead letters", "Records that could not be handled.", "ops",
            ("{{job_name}} {{system}}", f"sum by (job_name, system) (rate(florin_dead_letters_total{{{JOB}}}[1m]))"),
        ),
        graph(
            "Rules that hit", "Of cards: live rules that decided, and rules in shadow.", "ops",
            ("{{mode}} {{rule}}", f"topk(15, sum by (mode, rule) (rate(florin_rule_hits_total{{{JOB}}}[1m])))"),
        ),
    ],
    "Shards": [
        graph(
            "Lag", "Offsets from what was read to the log's end; markers of transactions count as records.", "short",
            ("{{topic}}/{{shard}}", f"florin:lag_records:shard{{{JOB}}}"),
        ),
        graph(
            "Silence", "Since a shard turned last; a turn takes milliseconds.", "s",
            ("{{topic}}/{{shard}}", f"florin:silent_seconds:shard{{{JOB}}}"),
        ),
        graph(
            "Deciding", "Share of a core that a worker's shards decide; the threads of a worker share one core.",
            "percentunit",
            ("{{job_name}} {{system}} {{tm_id}}", f"florin:apply:ratio1m{{{JOB}}}"),
        ),
        graph(
            "Age of snapshots", "Since the last one, while there is something new to write.", "s",
            ("{{topic}}/{{shard}}", f"max by (topic, shard) (florin_snapshot_age_seconds{{{JOB}}})"),
        ),
        graph(
            "Size of snapshots", "All cells of a shard.", "bytes",
            ("{{topic}}/{{shard}}", f"max by (topic, shard) (florin_snapshot_size_bytes{{{JOB}}})"),
        ),
        graph(
            "Replay, starts, fences", "Replayed records are decided again without output, after a restart.", "ops",
            ("replayed {{job_name}}", f"sum by (job_name) (rate(florin_replayed_records_total{{{JOB}}}[1m]))"),
            ("starts {{job_name}}", f"sum by (job_name) (rate(florin_starts_total{{{JOB}}}[1m]))"),
            ("fenced {{job_name}}", f"sum by (job_name) (rate(florin_fenced_total{{{JOB}}}[1m]))"),
        ),
    ],
    "Kafka and Flink": [
        graph(
            "Kafka's transactions", "Commits, and what failed.", "ops",
            ("commits {{system}}", f"sum by (system) (rate(florin_commits_total{{{JOB}}}[1m]))"),
            ("errors {{system}}", f"sum by (system) (rate(florin_kafka_errors_total{{{JOB}}}[1m]))"),
        ),
        graph(
            "Time of a transaction", "From its first record to the broker's word that it is done.", "ms",
            ("{{system}} p99", f"florin:commit_ms:p99{{{JOB}}}"),
            (
                "{{system}} mean",
                f"sum by (system) (rate(florin_commit_us_total{{{JOB}}}[1m])) / 1000"
                f" / sum by (system) (rate(florin_commits_total{{{JOB}}}[1m]))",
            ),
        ),
        graph(
            "Checkpoints", "Duration of the last one.", "ms",
            ("{{job_name}}", f"flink_jobmanager_job_lastCheckpointDuration{{{JOB}}}"),
        ),
        graph(
            "Size of checkpoints", "The last one, whole.", "bytes",
            ("{{job_name}}", f"flink_jobmanager_job_lastCheckpointFullSize{{{JOB}}}"),
        ),
        graph(
            "Restarts and failed checkpoints", "Since the job was submitted.", "short",
            ("restarts {{job_name}}", f"flink_jobmanager_job_numRestarts{{{JOB}}}"),
            ("failed checkpoints {{job_name}}", f"flink_jobmanager_job_numberOfFailedCheckpoints{{{JOB}}}"),
        ),
        graph(
            "TaskManagers and slots", "", "short",
            ("TaskManagers", "flink_jobmanager_numRegisteredTaskManagers"),
            ("free slots", "flink_jobmanager_taskSlotsAvailable"),
        ),
    ],
    "Tables": [
        graph(
            "Sum of positions", "Per currency; 0 at rest, near 0 under load.", "short",
            ("positions {{currency}}", "florin_positions_sum"),
            ("reserved {{currency}}", "florin_reserved_sum"),
        ),
        graph(
            "Faults of the read model", "Broken hash chains and events that could not be applied.", "short",
            ("{{kind}}", "florin_read_model_faults"),
        ),
        graph("Ledger requests", "By state.", "short", ("{{state}}", "florin_requests")),
        graph(
            "Ledger rows", "A second, by what became of them.", "ops",
            ("{{result}}", "deriv(florin_request_rows[5m])"),
        ),
    ],
}  # fmt: skip


def build() -> str:
    """The dashboard as JSON."""
    made = (
        dashboard.Dashboard("Florin")
        .uid("florin")
        .tags(["florin"])
        .refresh("15s")
        .time("now-1h", "now")
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("job")
            .label("Job")
            .datasource(SOURCE)
            .query("label_values(florin_records_total, job_name)")
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    )
    for title, graphs in ROWS.items():
        made = made.with_row(dashboard.Row(title))
        for one in graphs:
            made = made.with_panel(_panel(one))
    return str(JSONEncoder(sort_keys=True, indent=1).encode(made.build())) + "\n"


def _panel(one: Graph) -> timeseries.Panel:
    panel = timeseries.Panel().title(one.title).description(one.about).unit(one.unit).datasource(SOURCE)
    panel = panel.span(8).height(8).tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    panel = panel.legend(common.VizLegendOptions().show_legend(True).placement(LegendPlacement.BOTTOM))
    for place, (legend, expression) in zip("ABC", one.lines, strict=False):
        panel = panel.with_target(prometheus.Dataquery().ref_id(place).expr(expression).legend_format(legend))
    return panel


if __name__ == "__main__":
    FILE.write_text(build(), encoding="utf-8")
