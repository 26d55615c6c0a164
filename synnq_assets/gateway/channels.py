"""TLS contexts: 1.3 only, both sides with a certificate, one authority on either side.

No session tickets: a resumed session would not look at the client's certificate again.
Source: RFC 8446.
"""

import ssl
from pathlib import Path

from synnq_assets.errors import GatewayError
from synnq_assets.gateway.certificates import AUTHORITY, SERVER, SERVER_KEY


def build_server_context(folder: Path) -> ssl.SSLContext:
    """Return the gateway's context, from the authority's folder.

    Raises:
        GatewayError: a key or a certificate is missing or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(folder / SERVER, folder / SERVER_KEY)
        context.load_verify_locations(folder / AUTHORITY)
    except OSError as error:  # ssl.SSLError is one
        raise GatewayError(
            f"no usable keys in {folder}; make them with `synnq gateway init --host NAME`"
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    return _narrow(context)


def build_client_context(chain: Path, key: Path, authority: str) -> ssl.SSLContext:
    """Return a node's context.

    Args:
        chain: PEM file that begins with the node's certificate.
        key: PEM file of its private key.
        authority: the authority's certificate, PEM; no other is trusted.

    Raises:
        GatewayError: key and certificate are missing or do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_cert_chain(chain, key)
        context.load_verify_locations(cadata=authority)
    except OSError as error:
        raise GatewayError(
            f"{chain} and {key} are no certificate and its key; ask for a certificate anew"
        ) from error
    return _narrow(context)


def _narrow(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context
