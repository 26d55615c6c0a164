"""The node's side: upload until it is acknowledged, however often the connection breaks.

Each request has a connection of its own; the gateway's offset, asked anew after every fault, is the
only memory of how far an upload is. A refusal ends it, but for those that pass by themselves.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from synnq_assets.errors import GatewayError, RecordError
from synnq_assets.gateway.credentials import NodeCredentials
from synnq_assets.records.base import parse_strict_json, sha256_hex
from synnq_assets.storage.files import hash_file

PART_BYTES = 64 << 20  # of one request: what is acknowledged at once
BLOCK_BYTES = 1 << 20
MAX_ANSWER_BYTES = 32 << 20
PASSING = frozenset({408, 429, 500, 503})  # and upload_busy
OnProgress = Callable[[str, int, int], None]  # file name, bytes there, bytes in all


class PassingError(GatewayError):
    """Something that trying again can help."""

    is_transient = True


@dataclass(frozen=True)
class Answer:
    """What the gateway said."""

    status: int
    headers: dict[str, str]
    value: Any

    @property
    def reason(self) -> str:
        """The reason of a refusal; empty for anything else."""
        error = self.value.get("error") if isinstance(self.value, dict) else None
        return str(error.get("reason", "")) if isinstance(error, dict) else ""


def _ignore(_name: str, _offset: int, _total: int) -> None:
    return None


@dataclass(frozen=True)
class GatewayClient:
    """One node's way to one gateway."""

    url: str  # https://host:port
    credentials: NodeCredentials
    patience_seconds: float = 300.0  # without any progress
    timeout_seconds: float = 120.0  # of one wait for the gateway

    def submit(
        self, folder: Path, assignment_id: str, *, manifest_name: str, on_progress: OnProgress
    ) -> dict[str, Any]:
        """Upload a submission folder, manifest last; return the gateway's acknowledgement.

        Raises:
            GatewayError: refused, or no progress for `patience_seconds`; submit again to go on.
        """
        try:
            manifest = (folder / manifest_name).read_bytes()
            names = sorted(path.name for path in folder.iterdir() if path.name != manifest_name)
        except OSError as error:
            raise GatewayError(f"no submission in {folder}; the job may not have ended") from error
        place = f"/v1/assignments/{assignment_id}"
        acknowledged = self._ask("PUT", f"{place}/manifest", body=manifest)
        if acknowledged.reason == "blobs_missing":
            for name in names:
                self._upload(folder / name, place, on_progress)
            acknowledged = self._ask("PUT", f"{place}/manifest", body=manifest)
        found = self._require(acknowledged)
        if found.get("submission_sha256") != sha256_hex(manifest):
            raise GatewayError(f"{self.url} acknowledged another submission; tell its operator")
        return found

    def receipt(self, assignment_id: str) -> dict[str, Any]:
        """Return the proof of a submission's arrival or verdict.

        Raises:
            GatewayError: there is none, or the gateway cannot be reached.
        """
        return self._require(self._ask("GET", f"/v1/assignments/{assignment_id}/receipt"))

    def _upload(self, path: Path, place: str, on_progress: OnProgress) -> None:
        sha256, num_bytes = hash_file(path)
        target, offset, problem = f"{place}/blobs/{sha256}", -1, ""
        deadline = time.monotonic() + self.patience_seconds
        while time.monotonic() < deadline:
            try:
                state = self._require(self._try("PUT", target, {"Upload-Length": str(num_bytes)}))
                while not state["is_complete"]:
                    if state["offset"] > offset:
                        offset, deadline = state["offset"], time.monotonic() + self.patience_seconds
                    on_progress(path.name, state["offset"], num_bytes)
                    state = self._append(path, target, state["offset"], num_bytes)
                on_progress(path.name, num_bytes, num_bytes)
                return
            except PassingError as error:
                problem = str(error)
                time.sleep(1.0)
        raise PassingError(f"{path.name} made no progress: {problem}; submit again to go on")

    def _append(self, path: Path, target: str, offset: int, num_bytes: int) -> dict[str, Any]:
        length = min(PART_BYTES, num_bytes - offset)
        headers = {"Upload-Offset": str(offset), "Content-Length": str(length)}
        return self._require(self._try("PATCH", target, headers, _iter_part(path, offset, length)))

    def _ask(self, method: str, target: str, *, body: bytes | None = None) -> Answer:
        """Ask until there is an answer that stands."""
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                return self._try(method, target, {}, body)
            except PassingError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)

    def _try(self, method: str, target: str, headers: dict[str, str], body: Any = None) -> Answer:
        parts = urlsplit(self.url)
        if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/"):
            raise GatewayError(f"{self.url!r} is not a gateway's URL: https://HOST:PORT")
        connection = http.client.HTTPSConnection(
            parts.hostname,
            parts.port or 443,
            timeout=self.timeout_seconds,
            context=self.credentials.context,
        )
        try:
            connection.request(method, target, body, headers)
            found = connection.getresponse()
            data = found.read(MAX_ANSWER_BYTES + 1)
            value = parse_strict_json(data, max_bytes=MAX_ANSWER_BYTES) if data else None
        except (OSError, http.client.HTTPException) as error:
            raise PassingError(f"{self.url} does not answer: {error}") from error
        except RecordError as error:
            raise GatewayError(f"{self.url} does not answer as a gateway does: {error}") from error
        finally:
            connection.close()
        answer = Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, value)
        if answer.status in PASSING or answer.reason in ("upload_busy", "wrong_offset"):
            raise PassingError(f"{self.url} says {answer.status} {answer.reason}")
        return answer

    def _require(self, answer: Answer) -> dict[str, Any]:
        if answer.status == 200 and isinstance(answer.value, dict):
            return answer.value
        error = answer.value.get("error", {}) if isinstance(answer.value, dict) else {}
        message = json.dumps(str(error.get("message", ""))[:200])
        raise GatewayError(f"the gateway refuses: {answer.status} {answer.reason}: {message}")


def _iter_part(path: Path, offset: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while length and (block := file.read(min(BLOCK_BYTES, length))):
            length -= len(block)
            yield block
