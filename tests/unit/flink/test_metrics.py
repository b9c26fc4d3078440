"""Pages pushed by Flink's processes become one page that Prometheus accepts."""

from __future__ import annotations

import threading

import httpx
import pytest

from flink import metrics

pytestmark = pytest.mark.unit
PAGE = '# HELP cpu Load\n# TYPE cpu gauge\ncpu 0.5\n# TYPE slots gauge\nslots{host="h",} 2.0\n'


def test_each_family_is_declared_once_and_samples_name_their_process() -> None:
    merged = metrics.merge([("jobmanager", PAGE), ("taskmanager-1", PAGE)])
    assert merged == (
        '# HELP cpu Load\n# TYPE cpu gauge\ncpu{process="jobmanager"} 0.5\ncpu{process="taskmanager-1"} 0.5\n'
        '# TYPE slots gauge\nslots{process="jobmanager",host="h",} 2.0\nslots{process="taskmanager-1",host="h",} 2.0\n'
    )


def test_what_is_pushed_can_be_scraped() -> None:
    server = metrics.make_server(0, metrics.Store())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        assert httpx.put(f"{url}/metrics/job/taskmanager-1", content=PAGE.encode(), trust_env=False).status_code == 202
        assert 'cpu{process="taskmanager-1"} 0.5' in httpx.get(f"{url}/metrics", trust_env=False).text
        assert httpx.get(f"{url}/other", trust_env=False).status_code == 404
        assert httpx.put(f"{url}/other", content=b"x", trust_env=False).status_code == 404
    finally:
        server.shutdown()


def test_a_process_that_stopped_pushing_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    store = metrics.Store()
    store.put("taskmanager-1", PAGE)
    monkeypatch.setattr(metrics, "FORGET_S", 0.0)
    assert store.text() == ""
