"""The read side of the transfer job: events projected into Postgres, and the questions answered from there."""
