"""The transfer domain: positions of DFSPs as deterministic shards over a log; no Beam, no Kafka, no clock."""
