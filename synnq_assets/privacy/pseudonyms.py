"""Keyed pseudonyms of node ids, and salted commitments to whatever else could name somebody.

A pseudonym is `p-` and 12 hexadecimal digits of HMAC-SHA256(key of the epoch, node id): itself a
node id in form, so that `r0001.p-0123456789ab.1` is still an assignment id. Without the key, it
cannot be recomputed; a bare hash could, for the ids of a federation are few and can be guessed.

This is pseudonymisation and not anonymity: whoever holds the key can turn it back.

Sources: RFC 2104 (HMAC); EDPB Guidelines 01/2025 on pseudonymisation.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Container

PSEUDONYM = r"p-[0-9a-f]{12}"
COMMITMENT = r"c-[0-9a-f]{32}"
_NODE = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_WORD = re.compile(r"[\w-]+")
_ASSIGNMENT = re.compile(rf"(?<!\w)(r[0-9]{{4}})([.|])({_NODE})(?=\.[1-9][0-9]?(?!\w)|(?![\w.-]))")


def build_pseudonym(key: bytes, node_id: str) -> str:
    """Return a node's pseudonym under an epoch's key."""
    return "p-" + hmac.new(key, b"node\0" + node_id.encode(), hashlib.sha256).hexdigest()[:12]


def commit_text(salt: bytes, text: str) -> str:
    """Return a commitment: who has the salt can check a guess, and nobody else can."""
    return "c-" + hmac.new(salt, b"text\0" + text.encode(), hashlib.sha256).hexdigest()[:32]


def replace_nodes(text: str, known: Container[str], rename: Callable[[str], str]) -> str:
    """Return a text with every node renamed.

    A node is what stands in its place in an assignment id (`r0001.node.1`) or a partition key
    (`r0001|node`), known or not, and every whole word that is a known node's id. What is a
    pseudonym already stays.
    """

    def hide(node: str) -> str:
        return node if re.fullmatch(PSEUDONYM, node) else rename(node)

    text = _ASSIGNMENT.sub(lambda match: f"{match[1]}{match[2]}{hide(match[3])}", text)
    return _WORD.sub(lambda match: hide(match[0]) if match[0] in known else match[0], text)


def reveal_nodes(text: str, names: Callable[[str], str | None]) -> str:
    """Return a text with each pseudonym replaced by its node, where that is known."""
    return re.sub(
        rf"(?<![\w-]){PSEUDONYM}(?![\w-])", lambda match: names(match[0]) or match[0], text
    )


def is_of_form(form: str, text: str) -> bool:
    """Return whether a whole text is a pseudonym or a commitment."""
    return re.fullmatch(form, text) is not None
