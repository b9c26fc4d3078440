"""A small disk for the checkpoints, which can be filled: a tmpfs that no other process sees and that ends with ours."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEGABYTES = 256
_CLONE_NEWNS = 0x20000


class NoDisk(RuntimeError):
    """This user cannot mount."""


class SmallDisk:
    """A folder of `MEGABYTES`; call this before any process that is to see it is started."""

    def __init__(self, folder: Path) -> None:
        """Mounts in a mount namespace of this process and its children. Raises NoDisk."""
        if os.geteuid() != 0:
            raise NoDisk("needs root")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNS) != 0:
            raise NoDisk(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
        folder.mkdir()
        for command in (
            ["mount", "--make-rprivate", "/"],
            ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "florin-chaos", str(folder)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NoDisk(done.stderr.strip())
        self.folder = folder

    @contextmanager
    def full(self) -> Iterator[None]:
        """While the block runs."""
        filler = self.folder / "filler"
        try:
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(1 << 20))
            yield
        finally:
            filler.unlink(missing_ok=True)

    def is_full(self) -> bool:
        """Whether not a byte more can be written."""
        try:
            with (self.folder / "probe").open("wb") as file:
                file.write(bytes(8192))
            return False
        except OSError as error:
            return error.errno == errno.ENOSPC
        finally:
            (self.folder / "probe").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount."""
        subprocess.run(["umount", "-l", str(self.folder)], check=True)
