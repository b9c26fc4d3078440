"""python -m jobs.subledger."""

from jobs.subledger.cli import subledger

if __name__ == "__main__":
    subledger(prog_name="python -m jobs.subledger")
