"""The licence of an installed package, from its own metadata.

Order (PEP 639): `License-Expression`; else the `License` field, if short; else the classifiers. The
classifiers name families rather than licences, so each maps to the ids that it may mean, and one
that may mean several decides nothing by itself.
"""

from dataclasses import dataclass
from importlib.metadata import PackageMetadata

from synnq_assets.corpora.licences import UnknownLicenceError, normalise_licence

MAX_FIELD_CHARACTERS = 80  # a longer License field is the licence's text
_PREFIX = "License :: "

CLASSIFIERS: dict[str, tuple[str, ...]] = {
    "OSI Approved :: Apache Software License": ("Apache-2.0",),
    "OSI Approved :: BSD License": ("BSD-3-Clause", "BSD-2-Clause", "BSD-4-Clause", "0BSD"),
    "OSI Approved :: ISC License (ISCL)": ("ISC",),
    "OSI Approved :: MIT License": ("MIT",),
    "OSI Approved :: MIT No Attribution License (MIT-0)": ("MIT-0",),
    "OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": ("MPL-2.0",),
    "OSI Approved :: Python Software Foundation License": ("PSF-2.0",),
    "OSI Approved :: The Unlicense (Unlicense)": ("Unlicense",),
    "OSI Approved :: zlib/libpng License": ("Zlib",),
    "OSI Approved :: Historical Permission Notice and Disclaimer (HPND)": ("HPND",),
    "OSI Approved :: European Union Public Licence 1.2 (EUPL 1.2)": ("EUPL-1.2",),
    "OSI Approved :: Academic Free License (AFL)": ("AFL-3.0", "AFL-2.1"),
    "OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)": (
        "LGPL-2.0-or-later",
        "LGPL-2.1-or-later",
    ),
    "OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)": ("LGPL-3.0-only",),
    "OSI Approved :: GNU General Public License v2 (GPLv2)": ("GPL-2.0-only",),
    "OSI Approved :: GNU General Public License v2 or later (GPLv2+)": ("GPL-2.0-or-later",),
    "OSI Approved :: GNU General Public License v3 (GPLv3)": ("GPL-3.0-only",),
    "OSI Approved :: GNU General Public License v3 or later (GPLv3+)": ("GPL-3.0-or-later",),
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": ("CC0-1.0",),
}


@dataclass(frozen=True, slots=True)
class PackageLicence:
    """What the metadata states, for the licence gate to judge."""

    statement: str
    is_contradicted: bool = False


def read_package_licence(metadata: PackageMetadata) -> PackageLicence:
    """Return the licence statement of a package.

    It is contradicted where the `License` field names one licence and the classifiers others.
    """
    expression = _first(metadata, "License-Expression")
    if expression:
        return PackageLicence(expression)
    field = _first(metadata, "License")
    families = [
        CLASSIFIERS[name]
        for value in metadata.get_all("Classifier") or []
        if (name := value.removeprefix(_PREFIX)) in CLASSIFIERS
    ]
    spdx = _normalise_field(field)
    if spdx:
        known = {licence for family in families for licence in family}
        return PackageLicence(spdx, is_contradicted=bool(known) and spdx not in known)
    # Several classifiers leave open whether all apply or one may be chosen: all, to be safe.
    if families and all(len(family) == 1 for family in families):
        return PackageLicence(" AND ".join(family[0] for family in families))
    return PackageLicence(field or "; ".join(family[0] for family in families))


def _first(metadata: PackageMetadata, name: str) -> str:
    values = metadata.get_all(name) or [""]
    return " ".join(str(values[0]).split())


def _normalise_field(field: str) -> str:
    if not field or len(field) > MAX_FIELD_CHARACTERS:
        return ""
    try:
        return normalise_licence(field)
    except UnknownLicenceError:
        return ""
