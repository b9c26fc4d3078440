"""python -m jobs.rules: check and test rule sets of card scoring, and change those of a running job.

Exit codes: 0 done, 1 refused, mistakes or disagreement, 2 wrong options, 3 Kafka or its topics do not answer, 4 in the
log, but not every shard has acted in time.
"""

from __future__ import annotations

from jobs.rules.cli import rules

if __name__ == "__main__":
    rules(prog_name="python -m jobs.rules")
