"""What the terminal shows while the federation works: rounds, nodes, jobs, losses."""

import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from synnq_assets.cli.campaign import render_rounds
from synnq_assets.compute import read_progress
from synnq_assets.records.orders import Order
from synnq_assets.trust import Home

BAR_WIDTH = 20


def describe_stage(home: Home) -> str:
    """Return what the campaign is doing now, in one line."""
    campaign, store = home.campaign, home.store
    rounds = campaign.list_rounds()
    if rounds:
        key = rounds[-1]
        if campaign.find_allocation(key) is None:
            return f"{key}: allocating shards to nodes"
        if campaign.find_checkpoint(key) is None:
            num_open = sum(1 for _ in campaign.iter_open_orders(key))
            return f"{key}: {num_open} jobs out" if num_open else f"{key}: aggregating"
        if campaign.find_evaluation(key) is None:
            return f"{key}: evaluating the new global checkpoint"
        is_last = key == f"r{home.settings.recipe.rounds.num_rounds:04d}"
        return f"{key}: releasing" if is_last else f"{key}: done, opening the next round"
    if not any(key.endswith("/report.json") for key in store.iter_keys("corpora")):
        return "curating corpora"
    if not store.has("shards/plan.json"):
        return "training the tokenizer, planning shards"
    if campaign.find_checkpoint("r0000") is None:
        return "sealing shards, initialising the model"
    return "evaluating the initial model, opening the first round"


def iter_jobs(home: Home) -> Iterator[tuple[Order, str, str, str]]:
    """Yield (order, state, progress, loss) of the newest round's orders."""
    campaign = home.campaign
    for round_key in campaign.list_rounds()[-1:]:
        for order in campaign.list_orders(round_key):
            progress = read_progress(home.path / "jobs" / order.assignment_id)
            share = progress.step / max(1, progress.num_steps) if progress else 0.0
            bar = "█" * round(share * BAR_WIDTH) + "·" * (BAR_WIDTH - round(share * BAR_WIDTH))
            loss = f"{progress.loss:.3f}" if progress and progress.loss is not None else ""
            yield order, describe_state(home, order), bar, loss


def describe_state(home: Home, order: Order) -> str:
    """Return an order's state in one word or two."""
    campaign, assignment_id = home.campaign, order.assignment_id
    if loss := campaign.find_loss(assignment_id):
        return "lost, to " + (", ".join(r.split(".")[1] for r in loss.replacements) or "nobody")
    if verdict := campaign.find_verdict(assignment_id):
        return verdict.decision
    if not campaign.find_handle(assignment_id):
        return "ordered"
    progress = read_progress(home.path / "jobs" / assignment_id)
    return progress.phase if progress else "starting"


def render(home: Home, url: str, started: float) -> RenderableType:
    """Return the whole picture."""
    elapsed = time.monotonic() - started
    head = Text.assemble(
        (f"{home.settings.recipe.federation} ", "bold"),
        f"{elapsed:5.0f} s  ",
        (describe_stage(home), "cyan"),
        f"   {url}/asset-groups",
    )
    jobs = Table(box=None, pad_edge=False)
    for column in ("assignment", "shards", "tokens", "state", "progress", "loss"):
        jobs.add_column(column)
    for order, state, bar, loss in iter_jobs(home):
        tokens = str(order.num_tokens)
        jobs.add_row(order.assignment_id, str(len(order.shards)), tokens, state, bar, loss)
    return Group(head, jobs, render_rounds(home))


class Display:
    """A live picture on a terminal; one line per change elsewhere."""

    def __init__(self, home: Home, url: str, console: Console) -> None:
        """Prepare; `with` shows."""
        self._home, self._url, self._console = home, url, console
        self._started = time.monotonic()
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._last = ""

    def __enter__(self) -> "Display":
        """Start showing."""
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        """Stop showing."""
        if self._live:
            self._live.__exit__(None, None, None)

    def update(self) -> None:
        """Show the present state."""
        if self._live:
            self._live.update(render(self._home, self._url, self._started), refresh=True)
            return
        states = [f"{o.assignment_id} {state}" for o, state, _, _ in iter_jobs(self._home)]
        line = "; ".join([describe_stage(self._home), *states])
        if line != self._last:
            self._last = line
            elapsed = time.monotonic() - self._started
            self._console.print(f"{elapsed:5.0f} s  {line}", soft_wrap=True, highlight=False)

    def note(self, text: str) -> None:
        """Print a line above the picture."""
        self._console.print(text, highlight=False)
