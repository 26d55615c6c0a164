"""What the processes of a home are told by their environment, beside the recipe and the profile."""

import os
from collections.abc import Mapping

from synnq_assets.errors import SettingsError

DATA_DOCS_URL = "SYNNQ_DATA_DOCS_URL"


def sensor_interval_seconds() -> int:
    """Return how often sensors look, in seconds: `SYNNQ_SENSOR_SECONDS`, 15 unless set.

    Raises:
        SettingsError: not a whole number of at least 1.
    """
    text = os.environ.get("SYNNQ_SENSOR_SECONDS", "15")
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise SettingsError(f"SYNNQ_SENSOR_SECONDS must be a whole number of seconds, got {text!r}")
    return int(text)


def data_docs_url(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the URL under which Data Docs are served, without a last slash, or None.

    Raises:
        SettingsError: not an http or https URL; a browser follows no other from a web page.
    """
    text = (os.environ if environment is None else environment).get(DATA_DOCS_URL, "")
    if text and not text.startswith(("http://", "https://")):
        raise SettingsError(f"{DATA_DOCS_URL} must begin with http:// or https://, got {text!r}")
    return text.rstrip("/") or None
