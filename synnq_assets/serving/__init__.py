"""An inference API in OpenAI's style over one verified release.

In: a folder that `verify-release` passed, hashes of API keys. Out: completions, each with the
digest of the checkpoint it came from and a machine-readable mark that the text is generated
(AI Act Art. 50(2)).

    limits.py     what is served, and how much one request may ask for
    keys.py       API keys: made once, stored as hashes, compared in constant time
    protocol.py   requests parsed strictly; answers and errors as JSON
    reading.py    headers and body of a request, bounded before anything is parsed
    text.py       tokens to text, cut at stop strings, piece by piece
    engine.py     the model: encode, sample, generate (torch)
    app.py        the endpoints; FastAPI's only door
    connections.py  heads of requests in time, or no connection (uvicorn, h11)
    server.py     refuse to start on the wrong weights; run under uvicorn

Importing this package imports neither FastAPI nor torch.
"""

from synnq_assets.serving.keys import generate_api_key, read_api_keys
from synnq_assets.serving.limits import ServedRelease, ServingLimits
from synnq_assets.serving.server import create_app, serve

__all__ = [
    "ServedRelease",
    "ServingLimits",
    "create_app",
    "generate_api_key",
    "read_api_keys",
    "serve",
]
