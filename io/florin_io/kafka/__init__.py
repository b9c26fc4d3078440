"""Kafka as the journal of a shard: topics, a log reader, and a transactional writer."""
