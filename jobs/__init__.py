"""The programs: `python -m jobs.transfer` and its companions."""

import logging
import sys
import warnings
from types import TracebackType


def _of_use(record: logging.LogRecord) -> bool:
    return "crcmod package not found" not in str(record.msg)


# Beam warns at import, on the root logger, about a package for record files that no job here reads.
logging.getLogger().addFilter(_of_use)
# Google's libraries, which Beam imports, say so of a grpc that will be too old for them in 2027.
warnings.filterwarnings("ignore", ".*Post-Quantum Cryptography", FutureWarning)


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# Ctrl-C where a program has nothing to clean up, as while it imports Beam, is no error to be traced.
sys.excepthook = _told
