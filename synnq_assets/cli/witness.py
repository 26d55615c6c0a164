"""Commands of a witness of somebody else's audit log; they run at another organisation."""

import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import typer

from synnq_assets.errors import AuditError
from synnq_assets.trust.audit.witness import MAX_REQUEST_BYTES, Answer, Witness

app = typer.Typer(help="Witness the log of a coordinator (at another organisation).")
SECONDS = 20
FolderArgument = Annotated[Path, typer.Argument(help="The witness's own folder.")]


@app.command("init")
def init(
    folder: FolderArgument,
    name: Annotated[str, typer.Option(help="Such as example.org/witness; no spaces.")],
    log_key: Annotated[list[str], typer.Option(help="Each line of the log's `synnq audit keys`.")],
) -> None:
    """Create a witness, and print its public key for the coordinator and for verifiers."""
    witness = Witness.create(folder, name, tuple(log_key))
    typer.echo(witness.verifier.vkey)


@app.command("serve")
def serve(
    folder: FolderArgument,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8790,
    certificate: Annotated[Path | None, typer.Option(help="PEM chain; speaks TLS 1.3.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM key of the certificate.")] = None,
) -> None:
    """Answer `POST /add-checkpoint` until Ctrl-C, as c2sp.org/tlog-witness describes."""
    with build_server(Witness(folder), host, port, certificate, key) as server:
        scheme = "https" if certificate else "http"
        typer.echo(f"witness {scheme}://{host}:{server.server_port}   (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("ended")


@app.command("show")
def show(folder: FolderArgument) -> None:
    """Print the witness's public key, and the last head that it co-signed."""
    witness = Witness(folder)
    typer.echo(witness.verifier.vkey)
    last = witness.last()
    typer.echo(f"{last.size} entries, root {last.root.hex()}" if last else "nothing co-signed yet")


def build_server(
    witness: Witness, host: str, port: int, certificate: Path | None = None, key: Path | None = None
) -> ThreadingHTTPServer:
    """Return a server, bound and not yet serving.

    Raises:
        AuditError: the port is taken, or the certificate cannot be read.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS  # of silence, then the connection is closed
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint" or not (length.isascii() and length.isdigit()):
                self._answer(Answer(404, b"POST /add-checkpoint\n"), is_last=True)
            elif int(length[:12]) > MAX_REQUEST_BYTES:
                self._answer(Answer(413, b"the request is too large\n"), is_last=True)
            else:
                self._answer(witness.add_checkpoint(self.rfile.read(int(length))))

        def _answer(self, answer: Answer, *, is_last: bool = False) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            if is_last:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep no record of who asked."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
    except (OSError, ssl.SSLError) as error:
        raise AuditError(f"the witness cannot listen on {host}:{port}: {error}") from error
    return server
