"""`synnq demo`: set up or resume, start Dagster, watch, judge, end."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from synnq_assets.cli.choices import verify_choices
from synnq_assets.cli.demo.closing import report
from synnq_assets.cli.demo.display import Display
from synnq_assets.cli.demo.faults import kill_node_in_round
from synnq_assets.cli.demo.setup import create_demo_home, remove_demo_home
from synnq_assets.cli.demo.wishes import Wishes, resolve_wishes, verify_wishes
from synnq_assets.cli.home import open_home
from synnq_assets.cli.runs import find_exhausted, open_instance
from synnq_assets.cli.services import Services
from synnq_assets.cli.signals import undisturbed
from synnq_assets.compute import suspend_jobs
from synnq_assets.errors import SynnqError
from synnq_assets.records.base import now_at
from synnq_assets.trust import Home

if TYPE_CHECKING:
    import dagster as dg

DEMO_HOME = Path(".synnq/demo")
LOOK_SECONDS = 0.5


def demo(
    home: Annotated[Path, typer.Option(help="Where the demo's federation lives.")] = DEMO_HOME,
    corpus: Annotated[
        Path | None, typer.Option(help="Folder of JSONL or Parquet to train on instead.")
    ] = None,
    files: Annotated[
        str | None,
        typer.Option(help="With --corpus: which of its files; a glob such as 'a*.parquet'."),
    ] = None,
    max_documents: Annotated[
        int | None, typer.Option(help="Documents to read with --corpus; 1500 unless given.")
    ] = None,
    num_rounds: Annotated[int | None, typer.Option("--rounds", help="How many rounds.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe: a shipped name or a file; 'demo' unless given.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the web page.")] = 3000,
    fresh: Annotated[bool, typer.Option(help="Remove an earlier demo and start anew.")] = False,
    keep_open: Annotated[bool, typer.Option(help="Leave the web page open at the end.")] = False,
    timeout_minutes: Annotated[float, typer.Option(help="Give up after so long.")] = 30.0,
) -> int:
    """Run a whole federation on this machine: corpus to released model, with two faults."""
    console = Console()
    os.environ.setdefault("SYNNQ_SENSOR_SECONDS", "1")
    started = time.monotonic()
    opened = begin(home, Wishes(recipe, num_rounds, corpus, files, max_documents), console, fresh)
    if not is_finished(opened):
        run_campaign(opened, console, port=port, seconds=timeout_minutes * 60)
    code = report(opened, console, seconds=time.monotonic() - started)
    if keep_open:
        with Services(opened, port=port) as services:
            console.print(f"web page: {services.url}/asset-groups   (Ctrl-C ends it)")
            services.wait()
    return code


def begin(path: Path, wishes: Wishes, console: Console, is_fresh: bool) -> Home:
    """Set a demo up, or find the one that was begun."""
    is_there = path.is_dir() and any(path.iterdir())
    if is_there and is_fresh:
        settings = verify_choices(
            resolve_wishes(wishes)
        )  # a mistake in them must not cost the earlier demo
        remove_demo_home(path)
        create_demo_home(path, settings)
    elif is_there:
        home = open_home(path)
        verify_wishes(home, wishes)
        verify_time_left(home)
        console.print(f"resuming the demo in {path} (start anew with --fresh)")
        return home
    else:
        create_demo_home(path, verify_choices(resolve_wishes(wishes)))
    return open_home(path)


def verify_time_left(home: Home) -> None:
    """Refuse to go on with a round that ran out of time while the demo was stopped.

    Raises:
        SynnqError: nodes do not carry out its orders any more.
    """
    campaign = home.campaign
    for key in campaign.list_rounds()[-1:]:
        base = campaign.find_base(key)
        is_open = campaign.find_checkpoint(key) is None and any(campaign.iter_open_orders(key))
        if base is not None and is_open and now_at() > base.deadline_at:
            raise SynnqError(
                f"the demo in {home.path} was stopped in {key}, whose orders were valid until "
                f"{base.deadline_at:%Y-%m-%d %H:%M} UTC; start anew with --fresh"
            )


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
    """Start Dagster and watch until the campaign is over; nothing is left running.

    Raises:
        SynnqError: the campaign cannot go on by itself, or took too long.
    """
    deadline = time.monotonic() + seconds
    try:
        with (
            Services(home, port=port) as services,
            open_instance(home) as instance,
            Display(home, services.url, console) as display,
        ):
            console.print(f"web page: [link]{services.url}/asset-groups[/link]", highlight=False)
            while not is_finished(home):
                services.check()
                verify_can_go_on(home, instance)
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
        with undisturbed():
            suspend_jobs(path for path in (home.path / "jobs").iterdir() if path.is_dir())


def verify_can_go_on(home: Home, instance: "dg.DagsterInstance") -> None:
    """Refuse to wait for what does not come.

    Raises:
        SynnqError: a step failed as often as it may, or a round ended with too few submissions.
    """
    max_attempts = home.settings.recipe.rounds.max_attempts
    if failure := find_exhausted(instance, max_attempts):
        raise SynnqError(f"the step {failure.step} failed {max_attempts} times: {failure.sentence}")
    campaign = home.campaign
    for key in campaign.list_rounds()[-1:]:
        base = campaign.find_base(key)
        if base is None or campaign.find_checkpoint(key) or now_at() <= base.deadline_at:
            continue
        accepted = [v for v in campaign.list_verdicts(key) if v.decision == "accepted"]
        if len(accepted) < base.minimum and not any(campaign.iter_open_orders(key)):
            raise SynnqError(
                f"{key} got {len(accepted)} good submissions before its deadline and needs "
                f"{base.minimum}; look for the reasons on the web page (synnq up --home "
                f"{home.path}), and start anew with --fresh"
            )


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
