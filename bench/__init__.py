"""Benchmarks of speed, memory and calls, compared with a bare script and other tools. Not part of the product.

`server` simulates Gainsight, `data` generates its records, `contenders/` holds the programs to measure (each in its own
process), `measure` measures such a process, and `report` writes docs/benchmarks.md. Run it with `make bench`.
"""

import os

# An installed package has bytecode files, so the measured programs must be able to write and use theirs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
