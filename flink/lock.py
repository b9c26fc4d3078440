"""Developers' command: resolves pom.xml with Maven and writes jars.lock (`python -m flink.lock`)."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from flink.jars import LOCK_FILE, Jar, format_lock

POM = Path(__file__).with_name("pom.xml")
# A jar set per profile of pom.xml; a set is one class path.
SETS = ("beam", "kafka")


def needed(path: str) -> bool:
    """Whether a resolved jar belongs on our class path: Flink's own come from PyPI in the cluster's version."""
    return not path.startswith("org/apache/flink/")


def resolve(profile: str, maven: str) -> list[Jar]:
    """The jars of one profile, in Maven's repository layout."""
    with tempfile.TemporaryDirectory() as folder:
        command = [maven, "-q", "-B", "-f", str(POM), "-P", profile, "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", "-Dmdep.useRepositoryLayout=true", f"-DoutputDirectory={folder}"]
        subprocess.run(command, check=True)
        root = Path(folder)
        jars = []
        for file in sorted(root.rglob("*.jar")):
            path = file.relative_to(root).as_posix()
            if needed(path):
                jars.append(Jar(profile, path, hashlib.sha256(file.read_bytes()).hexdigest()))
        return jars


def main() -> int:
    maven = shutil.which("mvn")
    if maven is None:
        print("flink.lock needs Maven (`mvn`) on the PATH; only developers who change pom.xml do.", file=sys.stderr)
        return 2
    jars = [jar for profile in SETS for jar in resolve(profile, maven)]
    LOCK_FILE.write_text(format_lock(jars), encoding="utf-8")
    print(f"{LOCK_FILE}: {len(jars)} jars")
    return 0


if __name__ == "__main__":
    sys.exit(main())
