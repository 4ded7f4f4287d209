"""What is stored, on its way out: into files and warehouses. Nothing here calls Gainsight or changes a pulled row."""
