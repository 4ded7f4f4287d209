"""The programs to measure. Each takes one JSON argument and prints one JSON line with its own seconds."""
