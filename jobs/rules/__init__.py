"""Rule sets of card scoring: checked and tested here, loaded, activated and retired through the log."""
