"""The shape of the house, as tests."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import synnq_assets

PACKAGE = Path(synnq_assets.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = (
    *("corpora", "shards", "federation", "compute", "training", "submissions"),
    *("aggregation", "evaluation", "release", "serving", "gateway"),
    *("trust", "storage", "modeling", "privacy", "records", "settings", "defs", "cli"),
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_has_at_most_300_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("room", ROOMS)
def test_a_signboard_names_every_file_of_its_room(room):
    folder = PACKAGE / room
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    names = {path.name for path in folder.glob("*.py")} - {"__init__.py", "__main__.py"}
    names |= {f"{path.name}/" for path in folder.iterdir() if (path / "__init__.py").exists()}
    assert not {name for name in names if name not in text}


def imported_modules(code):
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.split())


def test_definitions_import_nothing_heavy():
    modules = imported_modules("import synnq_assets.definitions")
    heavy = {"torch", "transformers", "deepspeed", "datasets", "great_expectations", "lm_eval"}
    heavy |= {"pandas", "matplotlib", "scipy", "fastapi"}
    assert not heavy & modules


def test_the_payload_runs_where_dagster_is_not_installed():
    block = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0].startswith('dagster'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    assert "torch" in imported_modules(block + "import synnq_assets.training.run, torch")


def test_the_command_line_starts_without_dagster_and_torch():
    modules = imported_modules("import synnq_assets.cli.app")
    assert not {"torch", "dagster", "transformers"} & modules


def test_every_error_is_drawn_in_the_tree():
    tree = ast.parse((PACKAGE / "errors.py").read_text(encoding="utf-8"))
    drawn = ast.get_docstring(tree) or ""
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if name not in drawn]
