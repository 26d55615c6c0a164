"""What the command line asks of a demo, and whether a demo that was begun before can give it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synnq_assets.errors import SettingsError
from synnq_assets.settings import Settings, change_recipe, load_profile, load_recipe
from synnq_assets.settings.recipe import Recipe
from synnq_assets.trust import Home

MAX_DOCUMENTS = 1500  # of a --corpus
LAWS = ("LicenseRef-DE-UrhG-5", "LicenseRef-EE-AutOS-5")  # official works, free by law
EU_LANGUAGES = "bg cs da de el en es et fi fr hr hu it lt lv nl pl pt ro sk sl sv"


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for; None where it says nothing."""

    recipe: str | None = None
    num_rounds: int | None = None
    corpus: Path | None = None
    files: str | None = None
    max_documents: int | None = None


def apply_wishes(recipe: Recipe, wishes: Wishes) -> Recipe:
    """Return a recipe with the wished rounds and corpus; a recipe that has them stays as it is."""
    changes: dict[str, dict[str, Any]] = {}
    if wishes.num_rounds is not None:
        changes["rounds"] = {"num_rounds": wishes.num_rounds}
        changes["release"] = {"every_rounds": wishes.num_rounds}
    if wishes.corpus is not None:
        params = {
            "path": str(wishes.corpus.absolute()),
            "files": wishes.files or "",
            "max_documents": wishes.max_documents or MAX_DOCUMENTS,
        }
        held = recipe.corpus.licences
        changes["aggregation"] = {"target_mix": {}}  # names the sectors of the recipe's own sources
        changes["corpus"] = {
            "sources": [{"name": "directory", "kind": "directory", "params": params}],
            "licences": [*held, *(law for law in LAWS if law not in held)],
            "languages": EU_LANGUAGES.split(),
        }
    elif wishes.files is not None or wishes.max_documents is not None:
        raise SettingsError("--files and --max-documents say what to read of a --corpus; give one")
    return change_recipe(recipe, changes)


def resolve_wishes(wishes: Wishes) -> Settings:
    """Return the settings of a new demo."""
    recipe = apply_wishes(load_recipe(wishes.recipe or "demo"), wishes)
    return Settings(profile=load_profile("local"), recipe=recipe)


def verify_wishes(home: Home, wishes: Wishes) -> None:
    """Refuse what a demo that was begun with other settings cannot fulfil.

    Raises:
        SettingsError: the settings of the home are others, and fixed.
    """
    held = home.settings.recipe
    base = held if wishes.recipe is None else load_recipe(wishes.recipe)
    wanted = apply_wishes(base, wishes)
    fields = [name for name in Recipe.model_fields if getattr(held, name) != getattr(wanted, name)]
    if fields:
        raise SettingsError(
            f"the demo in {home.path} was begun with other settings ({', '.join(fields)}); give "
            f"the same options or none to go on with it, or --fresh to start anew"
        )
