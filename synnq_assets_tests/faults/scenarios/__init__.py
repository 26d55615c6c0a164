"""One writer per file; each module gives its `SCENARIO`."""
