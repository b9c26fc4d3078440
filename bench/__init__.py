"""Benchmarks: one command each, JSON out, with the no-op run as the yardstick in the same run."""
