"""Known vulnerabilities of what Florin runs with: `python -m tests.audit_dependencies`, or `make audit`.

Asks the database of OSV.dev for every Python package that is locked for the image or installed here, and for every
Java library of `flink/jars.lock`: pip-audit asks the same of Python packages, and knows no Java.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

import click
import httpx

from flink import jars

LOCK = Path(__file__).parents[1] / "k8s" / "image" / "requirements.txt"
FOUND, FAULT = 1, 2
_AT_ONCE = 500


class Dependency(NamedTuple):
    """One version of a package."""

    ecosystem: str
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.ecosystem})"


def dependencies() -> list[Dependency]:
    """All of them, sorted."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    installed = [(found.name, found.version) for found in distributions() if found.name != "florin"]
    java = [jar.coordinates.rpartition(":") for jar in jars.locked()]
    python = {Dependency("PyPI", re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in pins + installed}
    return sorted(python | {Dependency("Maven", name, version) for name, _, version in java})


def advisories(client: httpx.Client, wanted: Sequence[Dependency]) -> dict[Dependency, list[str]]:
    """Ids of advisories by dependency. Raises httpx.HTTPError, ValueError for an answer of another form."""
    found = dict[Dependency, list[str]]()
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        asked = [{"package": {"ecosystem": one.ecosystem, "name": one.name}, "version": one.version} for one in some]
        told = client.post("/v1/querybatch", json={"queries": asked}).raise_for_status().json()
        for one, result in zip(some, told["results"], strict=True):
            if result.get("vulns"):
                found[one] = [str(advisory["id"]) for advisory in result["vulns"]]
    return found


def _summary(client: httpx.Client, advisory: str) -> str:
    told: dict[str, Any] = client.get(f"/v1/vulns/{advisory}").raise_for_status().json()
    fixed = {
        event["fixed"]
        for affected in told.get("affected", [])
        for span in affected.get("ranges", [])
        for event in span.get("events", [])
        if "fixed" in event
    }
    names = ", ".join(told.get("aliases", []))
    return f"{advisory} {f'({names}) ' if names else ''}{told.get('summary', '')} fixed in: {', '.join(sorted(fixed))}"


@click.command()
@click.option("--url", default="https://api.osv.dev", show_default=True, help="Address of the database.")
def main(url: str) -> None:
    """Exit codes: 0 none known, or the database could not be asked (then it says so); 1 some; 2 no answer to use."""
    wanted = dependencies()
    try:
        with httpx.Client(base_url=url, timeout=30) as client:
            found = advisories(client, wanted)
            lines = [f"{one}: {_summary(client, each)}" for one, ids in found.items() for each in ids]
    except httpx.TransportError as error:
        click.echo(f"audit SKIPPED, nothing was checked: {url} cannot be reached from here ({error})")
        return
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError, AttributeError) as error:
        click.echo(f"{url} gives no answer that can be used ({error!r})", err=True)
        sys.exit(FAULT)
    for line in lines:
        click.echo(line)
    click.echo(f"{len(lines)} known vulnerabilities in {len(found)} of {len(wanted)} dependencies")
    sys.exit(FOUND if lines else 0)


if __name__ == "__main__":
    main()
