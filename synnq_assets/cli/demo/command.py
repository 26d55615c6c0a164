"""`synnq demo`: set up or resume, start Dagster, watch, judge, end."""

import os
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synnq_assets.cli.campaign import render_rounds
from synnq_assets.cli.choices import verify_choices
from synnq_assets.cli.demo.display import Display
from synnq_assets.cli.demo.faults import kill_all_jobs, kill_node_in_round
from synnq_assets.cli.demo.promises import check_promises
from synnq_assets.cli.demo.setup import build_settings, create_demo_home
from synnq_assets.cli.home import open_home
from synnq_assets.cli.services import Services
from synnq_assets.errors import SynnqError
from synnq_assets.trust import Home

DEMO_HOME = Path(".synnq/demo")
LOOK_SECONDS = 0.5


def demo(
    home: Annotated[Path, typer.Option(help="Where the demo's federation lives.")] = DEMO_HOME,
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of JSONL or Parquet to train on instead.")
    ] = None,
    files: Annotated[
        str, typer.Option(help="With --corpus: which of its files; a glob such as 'a*.parquet'.")
    ] = "",
    max_documents: Annotated[int, typer.Option(help="Documents to read with --corpus.")] = 1500,
    num_rounds: Annotated[int | None, typer.Option("--rounds", help="How many rounds.")] = None,
    recipe: Annotated[str, typer.Option(help="Recipe: a shipped name or a file.")] = "demo",
    port: Annotated[int, typer.Option(help="Port of the web page.")] = 3000,
    fresh: Annotated[bool, typer.Option(help="Remove an earlier demo and start anew.")] = False,
    keep_open: Annotated[bool, typer.Option(help="Leave the web page open at the end.")] = False,
    timeout_minutes: Annotated[float, typer.Option(help="Give up after so long.")] = 30.0,
) -> int:
    """Run a whole federation on this machine: corpus to released model, with two faults."""
    console = Console()
    if fresh and home.exists():
        shutil.rmtree(home)
    os.environ.setdefault("SYNNQ_SENSOR_SECONDS", "1")
    started = time.monotonic()
    if home.exists():
        console.print(f"resuming the demo in {home} (start anew with --fresh)")
    else:
        settings = build_settings(
            recipe,
            num_rounds=num_rounds,
            corpus=corpus,
            files=files,
            max_documents=max_documents,
        )
        create_demo_home(home, verify_choices(settings))
    opened = open_home(home)
    if not is_finished(opened):
        run_campaign(opened, console, port=port, seconds=timeout_minutes * 60)
    code = report(opened, console, seconds=time.monotonic() - started)
    if keep_open:
        with Services(opened, port=port) as services:
            console.print(f"web page: {services.url}/asset-groups   (Ctrl-C ends it)")
            services.wait()
    return code


def is_finished(home: Home) -> bool:
    """Return whether the campaign's last round was judged and its outcome released."""
    last = f"r{home.settings.recipe.rounds.num_rounds:04d}"
    promoted = home.campaign.find_promoted()
    return (
        home.campaign.find_evaluation(last) is not None
        and promoted is not None
        and home.campaign.find_release(promoted.round) is not None
    )


def run_campaign(home: Home, console: Console, *, port: int, seconds: float) -> None:
    """Start Dagster and watch until the campaign is over; nothing is left running."""
    deadline = time.monotonic() + seconds
    try:
        with Services(home, port=port) as services:
            console.print(f"web page: [link]{services.url}/asset-groups[/link]", highlight=False)
            with Display(home, services.url, console) as display:
                while not is_finished(home):
                    services.check()
                    if kill_node_in_round(home):
                        display.note("[yellow]fault: node-south was killed while training[/]")
                    display.update()
                    if time.monotonic() > deadline:
                        raise SynnqError(
                            f"the demo did not end within {seconds / 60:.0f} minutes; run it again "
                            f"to resume, or look at the runs' logs on the web page"
                        )
                    time.sleep(LOOK_SECONDS)
                display.update()
                finish_runs(home)
    finally:
        kill_all_jobs(home)


def finish_runs(home: Home, *, seconds: float = 30.0) -> None:
    """Wait for the last run to report its success."""
    import dagster as dg

    from synnq_assets.defs.sensors.steps import IN_PROGRESS

    os.environ["DAGSTER_HOME"] = str(home.path / "dagster")
    deadline = time.monotonic() + seconds
    with dg.DagsterInstance.get() as instance:
        while time.monotonic() < deadline:
            if not instance.get_runs_count(dg.RunsFilter(statuses=IN_PROGRESS)):
                return
            time.sleep(0.5)


def report(home: Home, console: Console, *, seconds: float) -> int:
    """Print the closing table and the promises; return 0 if all were kept."""
    console.print(render_rounds(home))
    promises = check_promises(home)
    for promise in promises:
        mark = "[green]kept  [/]" if promise.is_kept else "[red]BROKEN[/]"
        console.print(f"{mark} {promise.name}")
        console.print(f"       [dim]{promise.seen[:300]}[/]", highlight=False)
    for folder in sorted((home.path / "releases").glob("*")):
        console.print(f"release: {folder}", highlight=False, soft_wrap=True)
        console.print(f"  verify: synnq verify-release {folder}", highlight=False, soft_wrap=True)
        console.print(
            f"  serve:  synnq api-key keys.txt && synnq serve {folder} --api-key-file keys.txt",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"look again: synnq up --home {home.path}", highlight=False, soft_wrap=True)
    console.print(f"wall time: {seconds:.0f} s")
    return 0 if all(promise.is_kept for promise in promises) else 1
