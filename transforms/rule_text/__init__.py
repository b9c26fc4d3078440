"""Rule files of any domain: YAML and expressions, read with the line and column of every mistake."""
