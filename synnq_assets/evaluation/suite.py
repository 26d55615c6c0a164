"""The suite: every item that is asked, written down once, so that rounds answer the same questions.

    suite.json        format, cells, and per task: lm-eval configuration, file, digest, item count
    <task>.jsonl      items, one JSON object per line
    <task>.yaml       the task for lm-eval itself; from inside the folder it runs anywhere:
                      `lm_eval --include_path . --tasks synnq_perplexity ...`
    attribution.jsonl texts of the attribution measure

The digest of a suite is the SHA-256 of suite.json, which holds the digest of every item file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synnq_assets.errors import EvaluationError, RecordError
from synnq_assets.evaluation.holdout import Holdout, cut_text, read_holdout
from synnq_assets.evaluation.tasks import TASKS, Item
from synnq_assets.records.base import canonical_json, parse_strict_json, sha256_hex
from synnq_assets.settings.recipe import EvaluationSettings
from synnq_assets.storage.files import write_atomically

FORMAT = "synnq-suite-1"
SUITE_FILE = "suite.json"
ATTRIBUTION = "attribution"
ATTRIBUTION_TEXTS = 8
ATTRIBUTION_BYTES = 200


@dataclass(frozen=True)
class Suite:
    """A suite on disk.

    Attributes:
        path: the folder; it may be moved.
        tasks: names of the lm-eval tasks that apply.
        sha256: digest of suite.json.
        cells: held-out cells, in order.
        items: items by task, attribution texts included.
        configs: lm-eval configuration by task, with the data file relative to `path`.
    """

    path: Path
    tasks: tuple[str, ...]
    sha256: str
    cells: tuple[str, ...]
    items: Mapping[str, Sequence[Item]]
    configs: Mapping[str, Mapping[str, Any]]


def build_suite(holdout: Sequence[Path], settings: EvaluationSettings, out_dir: Path) -> Suite:
    """Write the suite of a held-out set; the same documents and settings give the same digest.

    Args:
        holdout: Parquet files named `<language>.<domain>.parquet`.
        settings: how many documents and items.
        out_dir: created; suite.json is written last.

    Raises:
        EvaluationError: the held-out set is empty, unreadable, or too small for an F1 task.
        StorageError: the folder cannot be written.
    """
    cells = read_holdout(holdout, documents_per_cell=settings.documents_per_cell)
    items = {name: task.build_items(cells, settings) for name, task in TASKS.items()}
    if not (items["language"] or items["sector"] or items["document"]):
        raise EvaluationError(
            "the held-out set is too small for an F1 task: it takes two documents of at least "
            "180 bytes that differ in language, sector or text"
        )
    items = {name: rows for name, rows in items.items() if rows}
    items[ATTRIBUTION] = _select_attribution_texts(cells)
    files = {name: _render_lines(rows) for name, rows in items.items()}
    configs = {name: _build_config(name) for name in items if name in TASKS}
    for name, data in files.items():
        write_atomically(out_dir / f"{name}.jsonl", data)
    for name, config in configs.items():
        write_atomically(out_dir / f"{name}.yaml", _render_yaml(config))
    described = [
        {
            "name": name,
            "sha256": sha256_hex(data),
            "num_items": len(items[name]),
            "config": configs.get(name),
        }
        for name, data in files.items()
    ]
    counts = {cell: len(documents) for cell, documents in cells.items()}
    content = {"format": FORMAT, "cells": counts, "tasks": described}
    write_atomically(out_dir / SUITE_FILE, canonical_json(content) + b"\n")
    return open_suite(out_dir)


def open_suite(folder: Path) -> Suite:
    """Read a suite, and verify every item file against suite.json.

    Raises:
        EvaluationError: missing, damaged, or written by another version.
    """
    try:
        data = (folder / SUITE_FILE).read_bytes()
        content = parse_strict_json(data)
        if content["format"] != FORMAT:
            raise EvaluationError(f"suite {folder} has the format {content['format']!r}")
        unknown = {entry["name"] for entry in content["tasks"]} - {*TASKS, ATTRIBUTION}
        if unknown:
            raise EvaluationError(f"suite {folder} has an unknown task {sorted(unknown)[0]!r}")
        items = {}
        for entry in content["tasks"]:
            lines = (folder / f"{entry['name']}.jsonl").read_bytes()
            if sha256_hex(lines) != entry["sha256"]:
                raise EvaluationError(f"suite {folder}: {entry['name']}.jsonl has been changed")
            items[entry["name"]] = [json.loads(line) for line in lines.splitlines()]
    except (OSError, RecordError, KeyError, TypeError) as error:
        raise EvaluationError(f"suite {folder} cannot be read: {error}; build it again") from error
    configs = {entry["name"]: entry["config"] for entry in content["tasks"] if entry["config"]}
    return Suite(folder, tuple(configs), sha256_hex(data), tuple(content["cells"]), items, configs)


def _build_config(name: str) -> dict[str, Any]:
    return {
        "task": f"synnq_{name}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": f"{name}.jsonl"}},
        "test_split": "test",
        "num_fewshot": 0,
        **TASKS[name].config,
        "metadata": {"version": 1},
    }


def _render_yaml(config: Mapping[str, Any]) -> bytes:
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True).encode()


def _render_lines(rows: Sequence[Item]) -> bytes:
    return b"".join(canonical_json(dict(row)) + b"\n" for row in rows)


def _select_attribution_texts(cells: Holdout) -> list[Item]:
    """Return texts of different cells, spread over the list of cells."""
    names = list(cells)
    step = max(1, len(names) // ATTRIBUTION_TEXTS)
    texts = [cells[name][0].text for name in names[::step][:ATTRIBUTION_TEXTS]]
    return [{"text": cut_text(text, max_bytes=ATTRIBUTION_BYTES)[0]} for text in texts]
