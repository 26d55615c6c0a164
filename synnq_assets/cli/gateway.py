"""Commands about the submission gateway.

`submit` and `request-certificate` run at the node, the others at the coordinator.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from synnq_assets.cli.home import DEFAULT_HOME, HomeOption, open_home
from synnq_assets.errors import GatewayError
from synnq_assets.federation import Registry
from synnq_assets.gateway import (
    Authority,
    Gateway,
    GatewayClient,
    GatewayLimits,
    NodeCredentials,
    SubmissionRules,
    attach_envelope,
    build_server,
    create_request,
    open_attached,
)
from synnq_assets.gateway.certificates import NODE_DAYS
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust import Home
from synnq_assets.trust.keyfiles import read_facts
from synnq_assets.trust.wrapping import open_wrapper

DEFAULT_LIMITS = GatewayLimits()
app = typer.Typer(
    help="Take submissions over mutual TLS from sites that only call out.", no_args_is_help=True
)


def build_gateway(home: Home, limits: GatewayLimits = DEFAULT_LIMITS) -> Gateway:
    """Return a home's gateway: what a submission is says intake, who takes part the registry."""
    from synnq_assets.submissions.arrival import EXPECTED_FILES, SUBMISSION_FILE, limit_bytes

    most = home.settings.recipe.intake.max_update_bytes
    rules = SubmissionRules(
        manifest_name=SUBMISSION_FILE,
        max_manifest_bytes=limit_bytes(SUBMISSION_FILE, most),
        max_blob_bytes={
            name: limit_bytes(name, most) for name in EXPECTED_FILES if name != SUBMISSION_FILE
        },
    )
    return Gateway(home, Registry(home.ledger).find, rules, limits)


@app.command("init")
def init(
    host: Annotated[list[str], typer.Option(help="Name or address that nodes call; repeat it.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make the certificate authority, once, and the gateway's own certificate, anew each time."""
    opened = open_home(home)
    authority = Authority.of_home(opened)
    name = read_facts(opened.key_file("coordinator")).wrapper
    with opened.audit.act("init_gateway", "gateway", actor="coordinator") as deed:
        fingerprint = authority.create(open_wrapper(name) if name else None)
        authority.issue_server(host)
        deed.details.update(sha256=fingerprint)
    typer.echo(f"certificate authority {fingerprint} in {authority.folder}")


@app.command("issue")
def issue(
    node_id: Annotated[str, typer.Argument(help="Id of an active node.")],
    request: Annotated[Path, typer.Option(help="node.csr, as the node made it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="node.pem, for the node.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it counts.")] = NODE_DAYS,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Certify the TLS key of an active node; the key itself stays at the node."""
    opened = open_home(home)
    if Registry(opened.ledger).get(node_id).status != "active":
        raise GatewayError(f"{node_id} is suspended or revoked; it gets no certificate")
    try:
        data = request.read_bytes()
    except OSError as error:
        raise GatewayError(f"cannot read {request}: {error.strerror}") from error
    with opened.audit.act("issue_certificate", node_id, actor="coordinator") as deed:
        pem = open_attached(
            data, opened.keyring, node_id=node_id, purpose="certificate-request", role="node"
        )
        issued = Authority.of_home(opened).issue_node(node_id, pem, days=days)
        signed = attach_envelope(
            issued.chain, node_id=node_id, purpose="certificate", key=opened.coordinator
        )
        write_atomically(output, signed)
        deed.details.update(serial=issued.serial, sha256=issued.sha256, days=days)
    typer.echo(f"{output} counts until {issued.expires_at:%Y-%m-%d}; serial {issued.serial}")


@app.command("serve")
def serve(
    home: HomeOption = DEFAULT_HOME,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8443,
) -> None:
    """Take submissions until interrupted."""
    build_server(build_gateway(open_home(home)), host=host, port=port).run()


def request_certificate(
    folder: Annotated[Path, typer.Argument(help="Folder of the node, on the node.")],
) -> None:
    """Make a node's TLS key and its certificate request (on the node)."""
    typer.echo(f"made {create_request(folder)}; send it to the coordinator")


def submit(
    job_dir: Annotated[Path, typer.Argument(help="Job folder whose submission is complete.")],
    gateway: Annotated[str, typer.Option(help="The gateway's URL: https://HOST:PORT.")],
    node: Annotated[Path, typer.Option(envvar="SYNNQ_NODE", help="The node's node.yaml.")],
    receipt: Annotated[bool, typer.Option(help="Only ask how it stands; print the proof.")] = False,
) -> None:
    """Upload a job's submission to a gateway; again, to go on where it broke off (on the node)."""
    from synnq_assets.submissions.arrival import SUBMISSION_FILE

    client = GatewayClient(gateway, NodeCredentials.read(node))
    assignment_id = read_assignment_id(job_dir, client.credentials)
    if receipt:
        typer.echo(client.receipt(assignment_id)["proof"], nl=False)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=Console(stderr=True)) as progress:
        tasks: dict[str, int] = {}

        def show(name: str, offset: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=offset)  # type: ignore[arg-type]

        arrival = client.submit(
            job_dir / "submission",
            assignment_id,
            manifest_name=SUBMISSION_FILE,
            on_progress=show,
        )
    typer.echo(f"{assignment_id} arrived: {arrival['submission_sha256']}")
    typer.echo(f"entry {arrival['position']} of the audit log")


def read_assignment_id(job_dir: Path, credentials: NodeCredentials) -> str:
    """Return which order a job folder answers, as the pinned coordinator signed it.

    Raises:
        GatewayError: there is no order of this coordinator to this node.
    """
    from synnq_assets.errors import RecordError, TrustError
    from synnq_assets.records.orders import Order
    from synnq_assets.trust import Keyring, open_envelope

    settings = credentials.settings
    ring = Keyring.with_root(settings.federation, settings.coordinator_public_key)
    try:
        data = (job_dir / "order.json").read_bytes()
        order = open_envelope(data, Order, ring, roles=("coordinator",))
    except (OSError, RecordError, TrustError) as error:
        raise GatewayError(f"no order of this coordinator in {job_dir}: {error}") from error
    if order.node_id != settings.node_id:
        raise GatewayError(f"the order in {job_dir} is {order.node_id}'s, not yours")
    return order.assignment_id
