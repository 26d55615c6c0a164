"""A small HTTP server that answers as Vault's transit engine is documented to, with real AES-GCM.

It is not Vault: it holds the client to the API's documented form (HTTP API, "Transit secrets
engine"), status codes included.
"""

import base64
import json
import secrets
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Transit:
    """What the server holds, and how it is told to fail."""

    def __init__(self, token="hvs.token-of-the-test"):
        self.token, self.keys, self.requests = token, {}, []
        self.status = None  # answer every request with this
        self.body = None  # and this, as it stands
        self.keeps_keys = False  # acknowledge a deletion and do nothing
        self.breaks_after = None  # sealed after so many requests
        self.server = None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, method, path, token, body):
        """Return (status, JSON value or None)."""
        self.requests.append((method, path))
        if self.status is not None:
            return self.status, self.body
        if self.breaks_after is not None and len(self.requests) > self.breaks_after:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        parts = path.strip("/").split("/")
        if parts[:2] != ["v1", "transit"]:
            return 404, {"errors": ["no handler for route"]}
        return getattr(self, f"_{parts[2]}")(method, parts[3:], body)

    def _keys(self, method, parts, body):
        name, held = parts[0], self.keys.get(parts[0])
        if method == "POST" and len(parts) == 1:
            if held is None:
                self.keys[name] = {"secrets": [secrets.token_bytes(32)], "deletable": False}
            return 204, None
        if held is None:
            return (404, {"errors": []}) if method == "GET" else (400, {"errors": ["no such key"]})
        if method == "POST" and parts[1] == "config":
            held["deletable"] = body["deletion_allowed"]
        elif method == "POST" and parts[1] == "rotate":
            held["secrets"].append(secrets.token_bytes(32))
        elif method == "DELETE":
            if not held["deletable"]:
                return 400, {"errors": ["deletion is not allowed for this key"]}
            if not self.keeps_keys:
                del self.keys[name]
        return (200, {"data": {"name": name}}) if method == "GET" else (204, None)

    def _encrypt(self, method, parts, body):
        held, nonce = self.keys[parts[0]], secrets.token_bytes(12)
        plain = base64.b64decode(body["plaintext"], validate=True)
        context = base64.b64decode(body["associated_data"], validate=True)
        data = nonce + AESGCM(held["secrets"][-1]).encrypt(nonce, plain, context)
        text = f"vault:v{len(held['secrets'])}:{base64.b64encode(data).decode()}"
        return 200, {"data": {"ciphertext": text, "key_version": len(held["secrets"])}}

    def _decrypt(self, method, parts, body):
        if parts[0] not in self.keys:
            return 400, {"errors": ["encryption key not found"]}
        _, version, encoded = body["ciphertext"].split(":")
        context = base64.b64decode(body["associated_data"], validate=True)
        try:
            data = base64.b64decode(encoded, validate=True)
            secret = self.keys[parts[0]]["secrets"][int(version[1:]) - 1]
            plain = AESGCM(secret).decrypt(data[:12], data[12:], context)
        except (ValueError, IndexError, InvalidTag):
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}


@contextmanager
def serving_transit():
    """Serve on loopback; yield the `Transit` behind it."""
    transit = Transit()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("X-Vault-Token")
            status, value = transit.answer(self.command, self.path, token, body)
            data = b"" if value is None else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        transit.server = server
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield transit
        server.shutdown()
