"""The subledger's pure core: rows of ledger files in, balanced journal entries, lots and balances out."""
