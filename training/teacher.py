"""The sentence model all-MiniLM-L6-v2 as an ONNX Runtime session, with a cache of the vectors it has made.

The model is published as a safetensors file. Its graph (a 6-layer BERT encoder, mean pooling, unit length) is written here by
hand with ONNX Runtime's fused operators. Sentences of equal length go through it together, so nothing is padded or masked.
"""

import json
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12
CLS, SEP = 101, 102
MAX_PIECES = 64
BATCH = 64
SHARD = 20_000


def read_safetensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """All float32 tensors of a safetensors file, by name."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    body = memoryview(data)[8 + length :]
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if entry.get("dtype") == "F32":
            start, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(body[start:end], np.float32).reshape(entry["shape"])
    return tensors


def build_graph(weights: dict[str, NDArray[np.float32]]) -> bytes:
    """The encoder as a serialised ONNX model: `ids` (batch, length) -> `vectors` (batch, WIDTH), of unit length."""
    constants, nodes = [], []

    def constant(name: str, value: NDArray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(kind: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def weight(name: str) -> str:
        return constant(name, weights[name].T if weights[name].ndim == 2 else weights[name])

    fused = "com.microsoft"
    # The segment is always the first one, so its row can be part of the position rows.
    position = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    words = node("Gather", [constant("words", weights["embeddings.word_embeddings.weight"]), "ids"], "word_rows")
    shape = node("Shape", ["ids"], "length", start=1, end=2)
    starts = constant("starts", np.zeros(1, np.int64))
    rows = node("Slice", [constant("positions", position), starts, shape], "position_rows")
    summed = node("Add", [words, rows], "embedded")
    gamma = constant("embed.gamma", weights["embeddings.LayerNorm.weight"])
    beta = constant("embed.beta", weights["embeddings.LayerNorm.bias"])
    hidden = node("LayerNormalization", [summed, gamma, beta], "hidden", axis=-1, epsilon=EPSILON)

    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."

        parts = [prefix + "attention.self." + part for part in ("query", "key", "value")]
        qkv = constant(prefix + "qkv", np.concatenate([weights[part + ".weight"].T for part in parts], axis=1))
        qkv_bias = constant(prefix + "qkv.bias", np.concatenate([weights[part + ".bias"] for part in parts]))
        attended = node("Attention", [hidden, qkv, qkv_bias], prefix + "attended", fused, num_heads=HEADS)
        dense = node("MatMul", [attended, weight(prefix + "attention.output.dense.weight")], prefix + "projected")
        norm = [weight(prefix + "attention.output.LayerNorm.weight"), weight(prefix + "attention.output.LayerNorm.bias")]
        skip = [dense, hidden, *norm, weight(prefix + "attention.output.dense.bias")]
        hidden = node("SkipLayerNormalization", skip, prefix + "mid", fused, epsilon=EPSILON)
        wide = node("MatMul", [hidden, weight(prefix + "intermediate.dense.weight")], prefix + "wide")
        active = node("BiasGelu", [wide, weight(prefix + "intermediate.dense.bias")], prefix + "active", fused)
        narrow = node("MatMul", [active, weight(prefix + "output.dense.weight")], prefix + "narrow")
        norm = [weight(prefix + "output.LayerNorm.weight"), weight(prefix + "output.LayerNorm.bias")]
        skip = [narrow, hidden, *norm, weight(prefix + "output.dense.bias")]
        hidden = node("SkipLayerNormalization", skip, prefix + "out", fused, epsilon=EPSILON)

    axes = constant("axes", np.array([1], np.int64))
    mean = node("ReduceMean", [hidden, axes], "mean", keepdims=0)
    node("LpNormalization", [mean], "vectors", axis=-1, p=2)
    graph = helper.make_graph(
        nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", WIDTH])],
        constants,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(fused, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def piece_lists(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Word pieces of each text: no [CLS]/[SEP], unknown pieces left out, at most MAX_PIECES."""
    unknown = tokenizer.token_to_id("[UNK]")
    lists = []
    for start in range(0, len(texts), 10_000):
        for encoding in tokenizer.encode_batch(list(texts[start : start + 10_000]), add_special_tokens=False):
            lists.append([piece for piece in encoding.ids[:MAX_PIECES] if piece != unknown])
    return lists


def load_tokenizer(model: Path) -> Tokenizer:
    """The model's own tokenizer (BERT, uncased), without its padding and cutting."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


class Teacher:
    """Encodes word-piece lists; keeps what it made in `cache` (a folder of .npz shards), by a hash of the pieces."""

    def __init__(self, model: Path, cache: Path, threads: int = 2) -> None:
        """Load the model from the folder `model`; `threads` batches run at a time."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # one batch a thread: on a busy machine better than one batch on all threads
        graph = build_graph(read_safetensors(model / "model.safetensors"))
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._pool = ThreadPoolExecutor(threads)
        self._cache = cache
        cache.mkdir(parents=True, exist_ok=True)

    def encode(self, pieces: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Unit vectors (n, WIDTH), without the cache."""
        lengths = np.array([len(item) for item in pieces])
        vectors = np.zeros((len(pieces), WIDTH), np.float32)
        order = np.argsort(lengths, kind="stable")
        batches = [
            same[start : start + BATCH]
            for same in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)
            for start in range(0, len(same), BATCH)
        ]

        def run(batch: NDArray[np.intp]) -> None:
            ids = np.array([[CLS, *pieces[index], SEP] for index in batch], np.int64)
            vectors[batch] = self._session.run(None, {"ids": ids})[0]

        list(self._pool.map(run, batches))
        return vectors

    def encode_cached(self, pieces: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Like `encode`, but lists met in an earlier run are read from the cache. Vectors pass through float16."""
        keys = [blake2b(np.array(item, np.uint16).tobytes(), digest_size=16).digest() for item in pieces]
        wanted: dict[bytes, list[int]] = {}
        for index, key in enumerate(keys):
            wanted.setdefault(key, []).append(index)
        vectors = np.zeros((len(pieces), WIDTH), np.float32)
        for shard in sorted(self._cache.glob("*.npz")):
            with np.load(shard) as stored:
                stored_keys, stored_vectors = stored["keys"], stored["vectors"]
            for key, vector in zip(stored_keys, stored_vectors, strict=True):
                for index in wanted.pop(key.tobytes(), ()):
                    vectors[index] = vector
        missing = sorted(wanted, key=lambda key: len(pieces[wanted[key][0]]))
        for start in range(0, len(missing), SHARD):
            part = missing[start : start + SHARD]
            made = self.encode([pieces[wanted[key][0]] for key in part]).astype(np.float16)
            stored_keys = np.frombuffer(b"".join(part), np.uint8).reshape(-1, 16)
            name = blake2b(stored_keys.tobytes(), digest_size=8).hexdigest()
            np.savez(self._cache / f"{name}.npz", keys=stored_keys, vectors=made)
            for key, vector in zip(part, made, strict=True):
                for index in wanted[key]:
                    vectors[index] = vector
            print(f"teacher: {start + len(part)} of {len(missing)} new sentences encoded", flush=True)
        return vectors
