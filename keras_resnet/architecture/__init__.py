"""A network as data: rows, plan, and plan and lineage recovered from names."""
