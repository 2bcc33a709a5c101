"""The table: one row a word piece, held as int4 with one scale a row; its rounding, its file and its sentence vectors."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

MAGIC = b"RCTABLE1"
LEVELS = 7
SHRINKS = (1.0, 0.9, 0.8, 0.7, 0.6)

Floats = NDArray[np.float32]


def quantise(rows: Floats) -> tuple[Floats, NDArray[np.int8]]:
    """Scale and integers (-LEVELS..LEVELS) of each row: of a few scales the one with the least squared error."""
    largest = np.abs(rows).max(axis=1) / LEVELS
    scales, levels = np.zeros(len(rows), np.float32), np.zeros(rows.shape, np.int8)
    least = np.full(len(rows), np.inf, np.float32)
    for shrink in SHRINKS:
        scale = (largest * shrink).astype(np.float32)
        divisor = np.where(scale > 0, scale, 1)[:, None]
        rounded = np.clip(np.rint(rows / divisor), -LEVELS, LEVELS)
        error = np.square(rounded * scale[:, None] - rows).sum(axis=1)
        better = error < least
        least[better], scales[better], levels[better] = error[better], scale[better], rounded[better]
    return scales, levels


def rounded(rows: Floats) -> Floats:
    """The rows as the file will hold them."""
    scales, levels = quantise(rows)
    return levels * scales[:, None]


def write(path: Path, scales: Floats, levels: NDArray[np.int8]) -> None:
    """Write magic, u32 rows, u32 dims, the f32 scales, then the int4 pairs (low nibble: even dimension), little endian."""
    nibbles = levels.view(np.uint8) & 0x0F
    packed = nibbles[:, 0::2] | nibbles[:, 1::2] << 4
    temporary = path.with_suffix(".part")
    temporary.write_bytes(MAGIC + struct.pack("<II", *levels.shape) + scales.astype("<f4").tobytes() + packed.tobytes())
    temporary.rename(path)


def read(path: Path) -> Floats:
    """The rows of a table file."""
    data = path.read_bytes()
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError(f"{path} is not a table")
    count, dims = struct.unpack_from("<II", data, len(MAGIC))
    scales = np.frombuffer(data, "<f4", count, len(MAGIC) + 8)
    packed = np.frombuffer(data, np.uint8, count * dims // 2, len(MAGIC) + 8 + 4 * count).reshape(count, -1)
    levels = np.empty((count, dims), np.int8)
    levels[:, 0::2] = (packed << 4).view(np.int8) >> 4
    levels[:, 1::2] = packed.view(np.int8) >> 4
    return levels * scales[:, None]


def incidence(pieces: Sequence[Sequence[int]], count: int) -> csr_matrix:
    """Sentences by pieces, how often each occurs."""
    ends = np.cumsum([0, *map(len, pieces)])
    columns = np.fromiter((piece for item in pieces for piece in item), np.int32, ends[-1])
    return csr_matrix((np.ones(ends[-1], np.float32), columns, ends), (len(pieces), count))


def embed(pieces: Sequence[Sequence[int]], rows: Floats) -> Floats:
    """Unit vectors of sentences; zero where no piece has a row."""
    sums = incidence(pieces, len(rows)) @ rows
    return unit(sums)


def unit(vectors: Floats) -> Floats:
    """Each vector over its length; a zero vector stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
