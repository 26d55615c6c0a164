"""What the terminal shows at the end: rounds, languages, promises, and what to type next."""

import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console

from synnq_assets.cli.campaign import render_languages, render_rounds
from synnq_assets.cli.demo.promises import check_promises
from synnq_assets.trust import Home


def report(home: Home, console: Console, *, seconds: float) -> int:
    """Print the closing tables and the promises; return 0 if all were kept."""
    console.print(render_rounds(home))
    console.print(render_languages(home))
    promises = check_promises(home)
    for promise in promises:
        mark = "[green]kept  [/]" if promise.is_kept else "[red]BROKEN[/]"
        console.print(f"{mark} {promise.name}")
        console.print(f"       {promise.seen[:300]}", style="dim", markup=False, highlight=False)
    for line in list_commands(home, Path(sys.argv[0])):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"wall time: {seconds:.0f} s")
    return 0 if all(promise.is_kept for promise in promises) else 1


def list_commands(home: Home, program: Path) -> list[str]:
    """Return what to do with each release, as lines that can be pasted where the demo ran.

    Args:
        home: the demo's home.
        program: the `synnq` that runs, as it was started.
    """
    is_on_path = shutil.which(program.name) == str(program)
    synnq = program.name if is_on_path else shlex.quote(str(program))
    key, keys = home.coordinator.public_key, shlex.quote(str(home.path / "api-keys"))
    lines = []
    for folder in sorted((home.path / "releases").glob("*")):
        release = f"{shlex.quote(str(folder))} --root {key}"
        lines += [
            f"release: {folder}",
            f"  verify: {synnq} verify-release {release}",
            f"  serve:  {synnq} api-key {keys} && {synnq} serve {release} --api-key-file {keys}",
        ]
    lines.append(f"look again: {synnq} up --home {shlex.quote(str(home.path))}")
    return lines
