"""SYNNQ assets: train one language model together, on Dagster, with lineage that can be checked.

Read `definitions.py` for what Dagster loads, `records/` for what crosses a boundary,
and docs/architecture.md for the shape of the house.
"""

__version__ = "0.1.0"
