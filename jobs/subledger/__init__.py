"""python -m jobs.subledger: the subledger's commands, its queue and its load job."""
