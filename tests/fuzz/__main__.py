"""Fuzz decoders with Atheris: `python -m tests.fuzz [TARGET...] --seconds=600`; each target in a process of its own.

`corpus/TARGET.zip` is where a run begins from; added to it are inputs that reach code that no other reached. Compiled
kernels run with their bounds checked.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import kept

ROOT = Path(__file__).parents[2]
NAMES = (
    "transfer-messages", "transfer-events", "transfer-snapshot", "cell-envelope", "card-records", "card-snapshot",
    "card-histories", "card-verdicts", "card-rules", "posting-rules", "ledger-lines", "ledger-files",
    "trace-headers",
)  # fmt: skip
PACKAGES = ("transforms", "state", "florin_io")
# What Atheris adds to a function's code numba cannot compile.
COMPILES = re.compile(r"^\s*@\w*\.?(njit|part|shared|bare|intrinsic|overload)\b|^njit = |numba", re.MULTILINE)
INPUT_S = 20
MEMORY_MB = 3000
MOST_BYTES = 16_384
# Under Atheris a process of this target grows by 25 KB an input, by itself it does not: it is begun anew now and then.
ROUND_S = {"ledger-files": 25}


def compiled() -> list[str]:
    """Modules with functions that numba compiles."""
    files = (path for folder in ("transforms", "io/florin_io") for path in (ROOT / folder).rglob("*.py"))
    found = (path for path in files if COMPILES.search(path.read_text(encoding="utf-8")))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("io.") for path in found]


def fuzz(name: str, folder: Path, options: list[str]) -> None:
    """Never returns: libFuzzer ends the process, with 0 if it found nothing."""
    import atheris

    with atheris.instrument_imports(include=list(PACKAGES), exclude=compiled()):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds()):
        (folder / f"seed-{number}").write_bytes(seed)
        target.run(seed)  # compiles kernels, which would count as a hang
    atheris.Setup([sys.argv[0], *options, str(folder)], target.run)
    atheris.Fuzz()


def _run(name: str, seconds: int, faults: Path) -> int:
    """One target in processes of its own; their exit code, 0 if they found no fault."""
    with tempfile.TemporaryDirectory(prefix="florin-fuzz-") as scratch:
        folder = Path(scratch)
        kept.unpack(name, folder)
        environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(faults / "numba")}
        command = [sys.executable, "-m", "tests.fuzz", "--in", str(folder), name, "--"]
        limits = [f"-timeout={INPUT_S}", f"-rss_limit_mb={MEMORY_MB}", f"-max_len={MOST_BYTES}"]
        began = time.monotonic()
        limits += [f"-artifact_prefix={faults}/{name}-", "-print_final_stats=1"]
        code, left, most = 0, seconds, ROUND_S.get(name, seconds)
        while left > 0 and not code:
            limit = f"-max_total_time={min(left, most)}"
            code = subprocess.run([*command, *limits, limit], env=environment, cwd=ROOT).returncode
            left -= most
        print(f"{name}: exit {code} after {time.monotonic() - began:.0f} s", flush=True)
        kept.pack(name, folder)
        return code


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz decoders with Atheris.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(NAMES)} (default: all)")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (default: 600)")
    parser.add_argument("--faults", type=Path, default=Path(".florin-fuzz"), help="folder of inputs that found faults")
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    own = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    given = parser.parse_args(sys.argv[1:own])
    if importlib.util.find_spec("atheris") is None:
        print("Fuzzing needs Atheris, which is not here. Remedy: pip install 'florin[fuzz]' (Linux)", file=sys.stderr)
        return 2
    if given.folder is not None:
        fuzz(given.targets[0], given.folder, sys.argv[own + 1 :])
    if unknown := set(given.targets) - set(NAMES):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    faults = given.faults.absolute()
    faults.mkdir(exist_ok=True, parents=True)
    failed = [name for name in given.targets or NAMES if _run(name, given.seconds, faults)]
    if failed:
        print(f"faults in {', '.join(failed)}; the inputs lie in {faults}, the traceback stands above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
