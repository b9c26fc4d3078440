"""The local cluster (Kafka, Flink, PostgreSQL), worker boot, submission and savepoints; `python -m flink --help`."""
