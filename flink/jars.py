"""Fetches the jars that jars.lock lists from Maven Central (or FLORIN_MAVEN) into the cache, verified by sha256.

python -m flink.jars [SET]...       # all sets, or those named: beam, kafka
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from flink.errors import StackError
from flink.paths import cache

LOCK_FILE = Path(__file__).with_name("jars.lock")
CENTRAL = "https://repo1.maven.org/maven2"
HEADER = "# Written by `python -m flink.lock` from pom.xml; set, sha256, path in a Maven repository.\n"
PARALLEL = 8
ATTEMPTS = 5


class LockError(StackError):
    """jars.lock cannot be read."""


@dataclass(frozen=True, order=True)
class Jar:
    """One line of jars.lock: the class path it belongs to, its path in a Maven repository, its sha256."""

    set: str
    path: str
    sha256: str

    @property
    def coordinates(self) -> str:
        """group:artifact:version, read off the repository path."""
        *group, artifact, version, _ = self.path.split("/")
        return f"{'.'.join(group)}:{artifact}:{version}"


def format_lock(jars: Iterable[Jar]) -> str:
    return HEADER + "".join(f"{jar.set} {jar.sha256} {jar.path}\n" for jar in sorted(jars))


def parse_lock(text: str) -> list[Jar]:
    """The jars of a lock file's text; raises LockError naming the line."""
    jars = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) != 3 or len(fields[1]) != 64 or not fields[2].endswith(".jar") or ".." in fields[2]:
            raise LockError(f"{LOCK_FILE.name} line {number}: expected 'set sha256 path.jar', found {line!r}")
        jars.append(Jar(fields[0], fields[2], fields[1]))
    return jars


def locked(names: Iterable[str] = ()) -> list[Jar]:
    """The jars of the named sets, or all. Raises LockError if there is no such set."""
    wanted, every = set(names), parse_lock(LOCK_FILE.read_text(encoding="utf-8"))
    if unknown := wanted - {jar.set for jar in every}:
        known = ", ".join(sorted({jar.set for jar in every}))
        raise LockError(f"{LOCK_FILE.name} has no set {', '.join(sorted(unknown))}, but {known}")
    return [jar for jar in every if not wanted or jar.set in wanted]


def file_of(jar: Jar) -> Path:
    return cache() / "jars" / jar.path


def class_path(name: str) -> list[Path]:
    """The files of one set, fetched already (see `fetch`)."""
    return [file_of(jar) for jar in locked([name])]


class _Retry(Exception):
    """A download that may go better the next time."""


@retry(
    retry=retry_if_exception_type((httpx.TransportError, _Retry)),
    stop=stop_after_attempt(ATTEMPTS),
    wait=wait_exponential(0.5, max=10),
    reraise=True,
)
def _download(client: httpx.Client, url: str, jar: Jar, advance: Callable[[int], None]) -> None:
    """One jar to a file of its own, renamed into place only once its sha256 fits."""
    target = file_of(jar)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.part")
    digest, got = hashlib.sha256(), 0
    try:
        with client.stream("GET", url) as answer:
            if answer.status_code >= 500 or answer.status_code == 429:
                raise _Retry(f"{url}: HTTP {answer.status_code}")
            if answer.status_code != 200:
                raise StackError(
                    f"{jar.coordinates}: HTTP {answer.status_code} from {url}. Is FLORIN_MAVEN a full mirror?"
                )
            with part.open("wb") as out:
                for block in answer.iter_bytes(1 << 16):
                    out.write(block)
                    digest.update(block)
                    got += len(block)
                    advance(len(block))
        if digest.hexdigest() != jar.sha256:
            raise _Retry(f"{jar.coordinates}: sha256 {digest.hexdigest()} instead of {jar.sha256} ({url})")
        part.replace(target)
    except BaseException:
        advance(-got)
        part.unlink(missing_ok=True)
        raise


def fetch(console: Console | None = None, names: Iterable[str] = ()) -> int:
    """Makes the jars of the named sets, or all, present in the cache; returns how many had to be fetched."""
    missing = [jar for jar in locked(names) if not file_of(jar).exists()]
    if not missing:
        return 0
    console = console or Console(file=sys.stderr)
    base = (os.environ.get("FLORIN_MAVEN") or CENTRAL).rstrip("/")
    console.print(f"Fetching {len(missing)} jars from {base} into {cache() / 'jars'}")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, console=console, disable=not console.is_terminal)
    done = 0
    with progress, httpx.Client(timeout=60, follow_redirects=True) as client, ThreadPoolExecutor(PARALLEL) as pool:
        task = progress.add_task(f"0/{len(missing)} jars", total=None)
        jobs = {
            pool.submit(_download, client, f"{base}/{jar.path}", jar, lambda n: progress.advance(task, n)): jar
            for jar in missing
        }
        try:
            for job in as_completed(jobs):
                job.result()
                done += 1
                progress.update(task, description=f"{done}/{len(missing)} jars")
                if not console.is_terminal and (done % 25 == 0 or done == len(missing)):
                    console.print(f"  {done}/{len(missing)} jars")
        except (httpx.HTTPError, _Retry) as error:
            raise StackError(
                f"Cannot fetch {jobs[job].coordinates} from {base}: {error}\n"
                "Remedy: check the network or the proxy, or name a mirror of Maven Central in FLORIN_MAVEN; then again."
            ) from error
        finally:
            for job in jobs:
                job.cancel()
    return done


if __name__ == "__main__":
    fetch(names=sys.argv[1:])
