"""Find, read, override and resolve settings.

Precedence: field defaults < YAML file < environment. A nested field is overridden by joining its
path with two underscores: `SYNNQ_RECIPE__ROUNDS__QUORUM=3`, `SYNNQ_PROFILE__COMPUTE__ACCOUNT=...`.
"""

import difflib
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from synnq_assets.errors import SettingsError
from synnq_assets.records.base import canonical_json, sha256_hex
from synnq_assets.settings.base import SettingsModel
from synnq_assets.settings.profile import SiteProfile
from synnq_assets.settings.recipe import Recipe

PREFIX = "SYNNQ_"
_YAML_ERRORS = (yaml.YAMLError, ValueError, RecursionError)  # ValueError: a date such as 2024-13-01
M = TypeVar("M", bound=SettingsModel)


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, of which ten lines can stand for a billion values."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name) is not read; write the value out")
        return super().compose_node(parent, index)


class Settings(SettingsModel):
    """A resolved pair: one site profile and one recipe."""

    profile: SiteProfile
    recipe: Recipe

    def canonical_bytes(self) -> bytes:
        """Return the RFC 8785 bytes of the pair."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the resolved pair."""
        return sha256_hex(self.canonical_bytes())

    @property
    def recipe_sha256(self) -> str:
        """SHA-256 (hex) of the resolved recipe alone; orders pin it."""
        return sha256_hex(canonical_json(self.recipe.model_dump(mode="json")))


def describe_invalid(origin: str, error: ValidationError) -> str:
    """Return one sentence per problem, naming the setting and the nearest known key."""
    problems = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "(top level)"
        if item["type"] == "extra_forbidden":
            hint = _nearest_key(error.title, item["loc"])
            problems.append(f"{where}: unknown setting{hint}")
        elif item["type"] == "missing":
            problems.append(f"{where}: required setting is missing")
        elif isinstance(item.get("input"), dict) and item["type"] == "value_error":
            problems.append(f"{where}: {item['ctx']['error']}")  # ours; the input is a section
        else:
            problems.append(f"{where}: {item['msg']}, got {item.get('input')!r}"[:300])
    return f"{origin}: " + "; ".join(problems)


def _nearest_key(title: str, loc: tuple[int | str, ...]) -> str:
    root = {model.__name__: model for model in (SiteProfile, Recipe)}.get(title)
    names: set[str] = set(root.model_fields) if root else set()
    model: Any = root
    for part in loc[:-1]:
        model = getattr(model, "model_fields", {}).get(part)
        model = model.annotation if model else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return ""
        names = set(model.model_fields)
    near = difflib.get_close_matches(str(loc[-1]), sorted(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML mapping.

    Raises:
        SettingsError: missing, unreadable, not YAML, or not a mapping.
    """
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read settings file {path}: {error}") from error
    except _YAML_ERRORS as error:
        raise SettingsError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{path} must hold a mapping of settings")
    return value


def _shipped(kind: str) -> dict[str, Path]:
    folder = Path(str(resources.files("synnq_assets.settings"))) / kind
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def shipped_profiles() -> tuple[str, ...]:
    """Return the names of the site profiles in the package."""
    return tuple(_shipped("profiles"))


def shipped_recipes() -> tuple[str, ...]:
    """Return the names of the recipes in the package."""
    return tuple(_shipped("recipes"))


def _find(kind: str, name: str) -> Path:
    shipped = _shipped(kind)
    if name in shipped:
        return shipped[name]
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return Path(name)
    near = difflib.get_close_matches(name, shipped, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise SettingsError(
        f"no {kind[:-1]} named {name!r}{hint} Shipped: {', '.join(shipped)}; or give a .yaml file."
    )


def _override(raw: dict[str, Any], section: str, environment: Mapping[str, str]) -> dict[str, Any]:
    prefix = f"{PREFIX}{section}__"
    merged = dict(raw)
    for variable in sorted(environment):
        if not variable.startswith(prefix):
            continue
        target = merged
        *parents, leaf = variable[len(prefix) :].lower().split("__")
        for part in parents:
            child = target.get(part)
            target[part] = dict(child) if isinstance(child, dict) else {}
            target = target[part]
        target[leaf] = _parse_value(variable, environment[variable])
    return merged


def _parse_value(variable: str, text: str) -> Any:
    try:
        return yaml.load(text, _PlainLoader)
    except _YAML_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise SettingsError(
            f"{variable}={text[:80]!r} is not a YAML value ({reason}); quote it if it is text"
        ) from error


def _load(model: type[M], kind: str, name: str, environment: Mapping[str, str] | None) -> M:
    path = _find(kind, name)
    section = kind[:-1].upper()
    raw = _override(read_yaml(path), section, os.environ if environment is None else environment)
    return _validate(model, raw, str(path))


def _validate(model: type[M], raw: Mapping[str, Any], origin: str) -> M:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(describe_invalid(origin, error)) from error


def load_profile(name: str, environment: Mapping[str, str] | None = None) -> SiteProfile:
    """Load a site profile by shipped name or file path.

    Raises:
        SettingsError: unknown name, unreadable file, missing, unknown or invalid settings.
    """
    return _load(SiteProfile, "profiles", name, environment)


def load_recipe(name: str, environment: Mapping[str, str] | None = None) -> Recipe:
    """Load a recipe by shipped name or file path.

    Raises:
        SettingsError: unknown name, unreadable file, missing, unknown or invalid settings.
    """
    return _load(Recipe, "recipes", name, environment)


def change_recipe(recipe: Recipe, changes: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return a recipe with some fields of some sections replaced, as valid as one from a file.

    Raises:
        SettingsError: a changed value is invalid, or contradicts another.
    """
    raw = recipe.model_dump(mode="json")
    for section, values in changes.items():
        raw[section] = {**raw[section], **values}
    return _validate(Recipe, raw, f"recipe {recipe.name}, as changed")


def resolve_settings(profile: str, recipe: str) -> Settings:
    """Load a profile and a recipe, and return the pair."""
    return Settings(profile=load_profile(profile), recipe=load_recipe(recipe))


def read_settings(path: Path) -> Settings:
    """Read a resolved pair that was written as canonical JSON (`settings.json` of a home).

    Raises:
        SettingsError: missing, or not a resolved pair of this version.
    """
    try:
        return Settings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error}; run `synnq init` first") from error
    except ValidationError as error:
        raise SettingsError(describe_invalid(str(path), error)) from error
