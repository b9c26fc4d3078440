"""The kept inputs of each target, one zip file a target."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
MOST_INPUTS = 300
MOST_BYTES = 4096


def inputs(name: str) -> list[bytes]:
    """The kept inputs of a target; none if there is no file."""
    path = FOLDER / f"{name}.zip"
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return [archive.read(entry) for entry in archive.namelist()]


def unpack(name: str, folder: Path) -> None:
    """The kept inputs as files."""
    for number, data in enumerate(inputs(name)):
        (folder / str(number)).write_bytes(data)


def pack(name: str, folder: Path) -> int:
    """Keep the files of a folder, if it has any, of many a share of every length; returns how many."""
    found = sorted({path.read_bytes() for path in folder.iterdir()}, key=lambda data: (len(data), data))
    short = [data for data in found if len(data) <= MOST_BYTES]
    kept = short[:: -(-len(short) // MOST_INPUTS) or 1]
    if not kept:
        return 0
    FOLDER.mkdir(exist_ok=True)
    with zipfile.ZipFile(FOLDER / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for data in kept:
            # A fixed time, so that equal inputs make equal files.
            archive.writestr(zipfile.ZipInfo(hashlib.sha256(data).hexdigest()[:16]), data, zipfile.ZIP_DEFLATED)
    return len(kept)
