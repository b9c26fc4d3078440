"""Loading ledger files into the subledger: the stages of the Beam job, and the graph that ties them together."""
