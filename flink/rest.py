"""A small client of Flink's REST API: jobs by name, vertices, exceptions, checkpoints, savepoints, TaskManagers."""

from __future__ import annotations

import time
from typing import Any

import httpx

from flink.errors import StackError
from flink.rest_security import TOKEN, TOKEN_FILE, client_settings, remedy

# A job in one of these states is over; a job's name may be used again.
TERMINAL = frozenset({"FINISHED", "CANCELED", "FAILED"})
POLL_S = 0.1


class FlinkError(StackError):
    """Flink refused a request, or a job or savepoint failed."""


class FlinkRest:
    """Every method raises FlinkError with Flink's own words if it refuses, and if nothing answers at the address."""

    def __init__(self, url: str, timeout_s: float = 60) -> None:
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        settings = client_settings(self.url)
        self._client = httpx.Client(base_url=self.url, timeout=timeout_s, trust_env=False, **settings)

    def __enter__(self) -> FlinkRest:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def request(self, method: str, path: str, **kwargs: Any) -> Any:
        try:
            answer = self._client.request(method, path, **kwargs)
        except httpx.HTTPError as error:
            raise FlinkError(f"No Flink answers at {self.url} ({error}).\nRemedy: {remedy(str(error))}") from error
        if answer.is_redirect:
            raise FlinkError(
                f"{self.url} sends us elsewhere ({method} {path}: HTTP {answer.status_code}).\n"
                "Remedy: this server may want TLS: an address with https://; a proxy may want a token: "
                f"{TOKEN_FILE} or {TOKEN}"
            )
        if answer.status_code in (401, 403, 407):
            raise FlinkError(
                f"{self.url} lets nobody in without leave ({method} {path}: HTTP {answer.status_code}).\n"
                f"Remedy: a valid token in {TOKEN_FILE} or {TOKEN}, and an address with https://"
            )
        if answer.status_code >= 400:
            raise FlinkError(f"{method} {path}: HTTP {answer.status_code}: {_reason(answer)}")
        try:
            return answer.json() if answer.content else {}
        except ValueError as error:
            raise FlinkError(f"{self.url} is no Flink: what {method} {path} gives is no JSON.") from error

    def get(self, path: str, **params: Any) -> Any:
        return self.request("GET", path, params=params)

    def overview(self) -> dict[str, Any]:
        """taskmanagers, slots-total, slots-available, flink-version, ..."""
        return dict(self.get("/overview"))

    def taskmanagers(self) -> list[dict[str, Any]]:
        return list(self.get("/taskmanagers")["taskmanagers"])

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs that the JobManager remembers: jid, name, state, start-time (ms), ...; newest first."""
        return sorted(self.get("/jobs/overview")["jobs"], key=lambda job: -job["start-time"])

    def find(self, name: str) -> dict[str, Any] | None:
        """The running job of that name (or id)."""
        alive = [job for job in self.jobs() if job["state"] not in TERMINAL]
        return next((job for job in alive if name in (job["name"], job["jid"])), None)

    def require(self, name: str) -> dict[str, Any]:
        """The running job of that name; the error lists those there are."""
        job = self.find(name)
        if job is None:
            names = sorted({job["name"] for job in self.jobs() if job["state"] not in TERMINAL})
            raise FlinkError(f"No job {name!r} runs on {self.url}. Running: {', '.join(names) or 'none'}")
        return job

    def job(self, job_id: str) -> dict[str, Any]:
        """state, vertices (each with id, name, parallelism, status), ..."""
        return dict(self.get(f"/jobs/{job_id}"))

    def state(self, job_id: str) -> str:
        """RUNNING, FINISHED and the like; cheaper than `job`, for which Flink asks TaskManagers for their metrics."""
        return str(self.get(f"/jobs/{job_id}/status")["status"])

    def exceptions(self, job_id: str) -> list[str]:
        """Stack traces of the job's failures, newest first."""
        history = self.get(f"/jobs/{job_id}/exceptions").get("exceptionHistory", {})
        return [entry["stacktrace"] for entry in history.get("entries", [])]

    def accumulators(self, job_id: str) -> list[dict[str, Any]]:
        return list(self.get(f"/jobs/{job_id}/accumulators")["user-task-accumulators"])

    def metrics(self, path: str, names: list[str]) -> dict[str, str]:
        """Values of the named metrics under a path such as /jobs/ID or /jobs/ID/vertices/ID/subtasks/metrics."""
        found = self.get(path, get=",".join(names))
        return {entry["id"]: str(entry.get("value", entry.get("sum"))) for entry in found}

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        """counts, summary, latest, history."""
        return dict(self.get(f"/jobs/{job_id}/checkpoints"))

    def cancel(self, job_id: str, wait_s: float = 60) -> None:
        self.request("PATCH", f"/jobs/{job_id}", params={"mode": "cancel"})
        self.wait_for(job_id, TERMINAL, wait_s)

    def wait_for(self, job_id: str, states: frozenset[str], wait_s: float) -> str:
        """Waits until the job is in one of the states; the state."""
        end = time.monotonic() + wait_s
        while True:
            state = self.state(job_id)
            if state in states:
                return state
            if time.monotonic() > end:
                raise FlinkError(f"Job {job_id} is still {state} after {wait_s:.0f} s.")
            time.sleep(POLL_S)

    def savepoint(self, job_id: str, wait_s: float = 300) -> str:
        """A savepoint of a job that goes on running; its path."""
        asked = self.request(
            "POST", f"/jobs/{job_id}/savepoints", json={"cancel-job": False, "formatType": "CANONICAL"}
        )
        return self._savepoint_path(job_id, asked["request-id"], wait_s)

    def stop(self, job_id: str, wait_s: float = 300) -> str:
        """Stop-with-savepoint without drain (a drained job cannot be resumed); the savepoint's path."""
        asked = self.request("POST", f"/jobs/{job_id}/stop", json={"drain": False, "formatType": "CANONICAL"})
        path = self._savepoint_path(job_id, asked["request-id"], wait_s)
        self.wait_for(job_id, TERMINAL, 60)
        return path

    def _savepoint_path(self, job_id: str, request_id: str, wait_s: float) -> str:
        end = time.monotonic() + wait_s
        while True:
            told = self.get(f"/jobs/{job_id}/savepoints/{request_id}")
            if told["status"]["id"] == "COMPLETED":
                operation = told["operation"]
                if "location" in operation:
                    return str(operation["location"])
                cause = operation.get("failure-cause", {}).get("stack-trace", "no cause given")
                raise FlinkError(f"The savepoint of job {job_id} failed: {cause}")
            if time.monotonic() > end:
                raise FlinkError(f"The savepoint of job {job_id} is not done after {wait_s:.0f} s.")
            time.sleep(POLL_S)


def _reason(answer: httpx.Response) -> str:
    """Flink's answer without the Java frames."""
    try:
        text = "\n".join(map(str, answer.json()["errors"]))
    except (ValueError, KeyError, TypeError):
        text = answer.text
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("\tat ", "\t... "))]
    return "\n".join(lines)[:4000]
