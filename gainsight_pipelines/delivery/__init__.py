"""Copies stored tables to warehouses and files. Nothing here calls Gainsight or changes a pulled row."""
