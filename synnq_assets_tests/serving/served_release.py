"""A small release behind the API, for tests."""

import json
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from synnq_assets.serving import ServedRelease, ServingLimits, generate_api_key
from synnq_assets_tests.release.release_folder import build_small_release

KEY, KEY_HASH = generate_api_key()
AUTH = {"Authorization": f"Bearer {KEY}"}
LIMITS = ServingLimits(max_tokens=40)


def build_served_release(folder: Path) -> ServedRelease:
    """Build a release, and say of it what its record says."""
    small = build_small_release(folder)
    record = small.record
    return ServedRelease(small.folder, record.model_name, record.round, record.checkpoint_sha256)


def ask(client: TestClient, **changes: Any) -> Any:
    """Post a completion request with the fields given."""
    body = {"model": "synnq-smoke", "prompt": "Die Richtlinie", "max_tokens": 8, **changes}
    return client.post("/v1/completions", json=body, headers=AUTH)


def read_events(text: str) -> list[Any]:
    """Return the events of a finished stream."""
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]
