"""What is measured, each a program of its own: takes one JSON argument, prints one JSON line with its own seconds."""
