"""The base of all settings: frozen, and a misspelt key is an error."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class SettingsModel(BaseModel):
    """Frozen; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Variant(SettingsModel):
    """A member of a family by name; the variant owns and validates its own parameters."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)
