"""Measures of speed, memory and calls, beside a bare script and what else people use. Not part of the product.

`server` plays Gainsight, `data` makes its records, `contenders/` holds what is measured (each runs in a process of its
own), `measure` watches such a process, `report` writes docs/benchmarks.md. Run it by `make bench`.
"""
