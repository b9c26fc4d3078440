"""One Prometheus address for the whole stack: Flink's processes push their metrics here, Prometheus scrapes them.

Flink's own scrape endpoint listens on all interfaces and cannot be told otherwise; pushing to loopback can.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from flink.processes import LOOPBACK

# Metrics of a process that has not pushed for this long are dropped: it is gone.
FORGET_S = 30.0
PUSH_PATH = "/metrics/job/"


def merge(pages: Iterable[tuple[str, str]]) -> str:
    """Pages of (process, exposition text) as one: each family's HELP and TYPE once, a process label on each sample."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for process, page in pages:
        family = ""
        for line in page.splitlines():
            if line.startswith("#"):
                words = line.split(" ", 3)
                if len(words) > 2 and words[1] in ("HELP", "TYPE"):
                    family = words[2]
                    head = heads.setdefault(family, [])
                    if not any(known.startswith(f"# {words[1]} ") for known in head):
                        head.append(line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, process))
    return "".join("\n".join([*heads.get(name, []), *lines]) + "\n" for name, lines in samples.items())


def _labelled(sample: str, process: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{process="{process}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{process="{process}"}} {value}'


class Store:
    """The last page of each process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[str, tuple[float, str]] = {}

    def put(self, process: str, page: str) -> None:
        with self._lock:
            self._pages[process] = (time.monotonic(), page)

    def text(self) -> str:
        now = time.monotonic()
        with self._lock:
            self._pages = {name: kept for name, kept in self._pages.items() if now - kept[0] < FORGET_S}
            pages = [(name, page) for name, (_, page) in sorted(self._pages.items())]
        return merge(pages)


def make_server(port: int, store: Store) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.path.startswith(PUSH_PATH):
                self._answer(404, "")
                return
            store.put(self.path[len(PUSH_PATH) :].split("/")[0], body.decode("utf-8", "replace"))
            self._answer(202, "")

        do_POST = do_PUT

        def do_GET(self) -> None:
            self._answer(200, store.text()) if self.path == "/metrics" else self._answer(404, "see /metrics\n")

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Pushes every few seconds are no news."""

    return ThreadingHTTPServer((LOOPBACK, port), Handler)


if __name__ == "__main__":
    make_server(int(sys.argv[1]), Store()).serve_forever()
