"""Benchmarks: one command each, JSON out, with the no-op run as the yardstick in the same run."""

import jobs  # noqa: F401  what it says of warnings holds here too
