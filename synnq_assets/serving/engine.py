"""The model behind the API: encode, sample, generate. Imports torch.

Each forward pass runs under one lock; between passes, other requests have their turn, and a
request whose client went away holds nothing.
Source of nucleus sampling: Holtzman et al. 2019, arXiv:1904.09751.
"""

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from synnq_assets.errors import ServingError
from synnq_assets.serving.protocol import CompletionRequest, FinishReason
from synnq_assets.serving.text import StopScanner, TokenDecoder


@dataclass(frozen=True)
class Piece:
    """Some text of a completion; the last piece says why it ended."""

    text: str
    num_tokens: int
    finish_reason: FinishReason | None = None


def select_token(
    logits_V: torch.Tensor, *, temperature: float, top_p: float, generator: torch.Generator
) -> int:
    """Return a token id: the likeliest at temperature 0, else one sampled from the nucleus.

    Shapes: logits_V [V] float32 -> token id; probabilities in float64.
    """
    if temperature == 0.0:
        return int(logits_V.argmax())
    shifted_V = logits_V.double() - logits_V.double().max()  # so that no quotient overflows
    probabilities_V = torch.softmax(shifted_V / temperature, dim=0)
    sorted_V, order_V = probabilities_V.sort(descending=True, stable=True)
    is_outside_V = sorted_V.cumsum(0) - sorted_V >= top_p
    sorted_V = sorted_V.masked_fill(is_outside_V, 0.0)
    return int(order_V[torch.multinomial(sorted_V, 1, generator=generator)])


class Engine:
    """One model and its tokenizer, in float32 on the CPU."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        """Load a release folder; no code from it is run, and no network is used.

        Raises:
            ServingError: weights, configuration or tokenizer do not load.
        """
        from tokenizers import Tokenizer
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        try:
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self.model: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False
            ).eval()
        except Exception as error:  # the libraries raise their own kinds, bare Exception included
            raise ServingError(f"cannot load the release at {folder}: {error}") from error
        self.tokenizer.encode_special_tokens = True  # "<|endoftext|>" in a prompt is plain text
        self.context_tokens = int(self.model.config.max_position_embeddings)
        self._end_token = int(self.model.config.eos_token_id)
        self._num_known_tokens = int(self.tokenizer.get_vocab_size())
        self._lock = threading.Lock()

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a prompt; none of them is a control token."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _predict(self, ids: list[int], cache: Any) -> tuple[torch.Tensor, Any]:
        with self._lock, torch.inference_mode():
            output = self.model(
                input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True
            )
            # Ids that the tokenizer never learned have no text; they are not offered.
            return output.logits[0, -1, : self._num_known_tokens], output.past_key_values

    def _iter_tokens(
        self, prompt_ids: list[int], request: CompletionRequest, num_tokens: int
    ) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(secrets.randbits(63) if request.seed is None else request.seed)
        ids, cache = prompt_ids, None
        for _ in range(num_tokens):
            logits_V, cache = self._predict(ids, cache)
            token = select_token(
                logits_V,
                temperature=request.temperature,
                top_p=request.top_p,
                generator=generator,
            )
            yield token
            ids = [token]

    def generate(
        self, prompt_ids: list[int], request: CompletionRequest, num_tokens: int
    ) -> Iterator[Piece]:
        """Yield one completion in pieces, ended by a stop string, the end token, or the length.

        Args:
            prompt_ids: at least one token; with `num_tokens`, within the context.
            request: temperature, top_p, stop strings, seed. One seed gives one text, whatever
                other prompts the request has.
            num_tokens: at most so many are generated.
        """
        decoder, scanner = TokenDecoder(self.tokenizer), StopScanner(request.stop)
        finish_reason: FinishReason = "length"
        count = 0
        for token in self._iter_tokens(prompt_ids, request, num_tokens):
            if token == self._end_token:
                finish_reason = "stop"
                break
            count += 1
            text = scanner.push(decoder.push(token))
            if scanner.is_stopped:
                yield Piece(text, count, "stop")
                return
            if text:
                yield Piece(text, count)
        rest = scanner.push(decoder.finish())
        if scanner.is_stopped:
            finish_reason = "stop"
        yield Piece(rest + scanner.finish(), count, finish_reason)
