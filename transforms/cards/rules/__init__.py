"""Rule sets as data: the language, its compilation to arrays, the kernel that evaluates them, and explanations."""
