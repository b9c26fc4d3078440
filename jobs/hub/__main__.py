"""python -m jobs.hub: run the hub of a payment switch: participants, funds, limits, positions, transfers.

Exit codes: 0 done, 1 refused, not found or different, 2 wrong options, 3 a server, its topics or the job do not answer.
"""

from __future__ import annotations

from jobs.hub.cli import hub

if __name__ == "__main__":
    hub(prog_name="python -m jobs.hub")
