"""The operator's commands: participants, funds, limits, positions, transfers, and what the job tells the world."""
