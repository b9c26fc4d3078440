"""The process of an attempt, for tests of the queue: begins, and then does what the options of the request say."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tests.cluster.subledger_books import Posting, fill, put_into_the_books
from transforms.subledger_db import requests
from transforms.subledger_db.model import Busy, Fenced
from transforms.subledger_db.schema import LedgerDatabase


def main(url: str, schema: str, *rest: str) -> int:
    """`rest`: --request NUMBER --stale-after SECONDS."""
    number, stale_after_s = int(rest[1]), float(rest[3])
    with LedgerDatabase(url, schema).connect(application="test child") as connection:
        try:
            request = requests.begin_attempt(connection, number, stale_after_s)
        except Busy:
            return 6
        if request is None:
            return 0
        what = request.options.get("do", {}).get(str(request.attempt), "publish")
        postings = [Posting(f"{request.idempotency_key}-{one}", request.idempotency_key) for one in range(2)]
        fill(connection, request, postings)
        match what:
            case "fail":
                requests.give_back(connection, request, "Flink went away")
                return 75
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "refuse":
                requests.refuse(connection, request, request.attempt, "too many rejects")
                return 1
            case "hang":
                while requests.heartbeat(connection, number, request.attempt):
                    time.sleep(0.1)
                return 5
            case "stall":  # no sign of life until another attempt has published, and then the zombie tries to
                end = time.monotonic() + 60
                while requests.load(connection, number).state != "PUBLISHED" and time.monotonic() < end:
                    time.sleep(0.1)
                try:
                    put_into_the_books(connection, request, postings)
                except Fenced:
                    return 5
                return 99
            case "wait":  # for a file
                end = time.monotonic() + 120
                while not Path(request.options["until"]).exists() and time.monotonic() < end:
                    time.sleep(0.05)
        put_into_the_books(connection, request, postings)
        return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
