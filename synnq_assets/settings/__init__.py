"""Settings: a site profile (where it runs) times a recipe (what is trained, by which rules).

The only reader of YAML and of the environment. Unknown keys are refused, units are in the names,
and the resolved pair has one digest that enters every order, audit entry and model card.

    profile.py      SiteProfile: compute backend, machine facts, limits
    recipe.py       Recipe: model, corpus, shards, training, rounds, aggregation, evaluation
    node.py         NodeSettings: what a node keeps about itself
    base.py         frozen models that refuse unknown keys
    load.py         find, read, override by environment, resolve
    environment.py  what a process is told beside both
    secrets.py      what protects keys at rest: passphrase, key folder, Vault
    profiles/       local, lumi-g, leonardo, torino
    recipes/        smoke, demo, eu-32b
"""

from synnq_assets.settings.environment import (
    DATA_DOCS_URL,
    data_docs_url,
    sensor_interval_seconds,
)
from synnq_assets.settings.load import (
    Settings,
    change_recipe,
    load_profile,
    load_recipe,
    read_settings,
    resolve_settings,
    shipped_profiles,
    shipped_recipes,
)
from synnq_assets.settings.node import NodeSettings, load_node_settings
from synnq_assets.settings.profile import SiteProfile
from synnq_assets.settings.recipe import Recipe

__all__ = [
    "DATA_DOCS_URL",
    "NodeSettings",
    "Recipe",
    "Settings",
    "SiteProfile",
    "change_recipe",
    "data_docs_url",
    "load_node_settings",
    "load_profile",
    "load_recipe",
    "read_settings",
    "resolve_settings",
    "sensor_interval_seconds",
    "shipped_profiles",
    "shipped_recipes",
]
