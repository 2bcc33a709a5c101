"""Fits the rows of the table to the teacher's sentence vectors: Adam on the rows that a batch touches, in numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from table import rounded, unit

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """How the rows are fitted."""

    dims: int = 256
    epochs: int = 6
    rounded_epochs: int = 2  # of the epochs, the last ones that see the rows rounded to int4
    batch: int = 1024
    rate: float = 4e-3  # falls to zero in a line
    pull: float = 1e-3  # towards the start rows
    drop: float = 0.1  # share of pieces left out at random
    contrast: float = 0.2  # weight of the loss on which sentences of the batch are near
    topics: float = 0.15  # weight of the loss on which topic a sentence belongs to
    temperature: float = 0.05
    frequency: float = 1e-4  # a of the start weight a / (a + p)
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8
    seed: int = 13


def projection(vectors: Floats, dims: int) -> Floats:
    """Columns: the `dims` directions that keep most of the vectors' length."""
    _, basis = np.linalg.eigh((vectors.T @ vectors).astype(np.float64))
    return basis[:, ::-1][:, :dims].astype(np.float32)


def start_rows(alone: Floats, pieces: Sequence[Sequence[int]], basis: Floats, frequency: float) -> Floats:
    """Each piece's own vector, projected, the less the commoner the piece is."""
    counts = np.bincount(np.concatenate([np.asarray(item, np.int32) for item in pieces]), minlength=len(alone))
    share = counts / counts.sum()
    return unit(alone @ basis) * (frequency / (frequency + share)).astype(np.float32)[:, None]


def softmax(scores: Floats) -> Floats:
    """Each line as shares of one."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def topic_centres(targets: Floats, topics: NDArray[np.intp]) -> Floats:
    """Unit vector of the mean target of each topic 0..n."""
    count = topics.max() + 1
    known = np.flatnonzero(topics >= 0)
    members = csr_matrix((np.ones(len(known), np.float32), (topics[known], known)), (count, len(targets)))
    return unit(members @ targets)


def loss_slope(made: Floats, target: Floats, topics: NDArray[np.intp], centres: Floats, settings: Settings) -> Floats:
    """Gradient, by each made unit vector, of 1 - cosine and of the cross-entropies over the batch and over the topics."""
    slope = -target
    wrong = softmax(made @ target.T / settings.temperature) - softmax(target @ target.T / settings.temperature)
    slope = slope + settings.contrast / settings.temperature * (wrong @ target)
    known = np.flatnonzero(topics >= 0)
    wrong = softmax(made[known] @ centres.T / settings.temperature)
    wrong[np.arange(len(known)), topics[known]] -= 1
    slope[known] += settings.topics / settings.temperature * (wrong @ centres)
    return slope


def fit(
    start: Floats,
    pieces: Sequence[Sequence[int]],
    targets: Floats,
    topics: NDArray[np.intp],
    weights: Floats,
    settings: Settings,
) -> Floats:
    """Rows whose normalised mean is near `targets` (unit vectors).

    `topics` is the topic of each sentence or -1; `weights` is how often an epoch takes each sentence, on average.
    """
    generator = np.random.default_rng(settings.seed)
    ends = np.cumsum([0, *map(len, pieces)])
    flat = np.concatenate([np.asarray(item, np.int32) for item in pieces])
    rows = start.copy()
    first, second = np.zeros_like(rows), np.zeros_like(rows)
    centres = topic_centres(targets, topics)
    steps_an_epoch = int(weights.sum() / settings.batch)
    steps = steps_an_epoch * settings.epochs
    total = 0.0
    order = np.empty(0, np.intp)
    for step in range(1, steps + 1):
        if len(order) < settings.batch:
            times = np.floor(weights + generator.random(len(weights))).astype(np.intp)
            order = np.concatenate([order, generator.permutation(np.repeat(np.arange(len(pieces)), times))])
        chosen, order = order[: settings.batch], order[settings.batch :]
        lengths = ends[chosen + 1] - ends[chosen]
        limits = np.cumsum([0, *lengths])
        places = np.arange(limits[-1]) + np.repeat(ends[chosen] - limits[:-1], lengths)
        used, columns = np.unique(flat[places], return_inverse=True)
        kept = (generator.random(len(columns), np.float32) >= settings.drop).astype(np.float32)
        counts = csr_matrix((kept, columns, limits), (settings.batch, len(used)))

        seen = rows[used]
        is_rounded = step > steps_an_epoch * (settings.epochs - settings.rounded_epochs)
        sums = counts @ (rounded(seen) if is_rounded else seen)
        size = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
        made, target = sums / size, targets[chosen]
        total += float(np.mean(1 - np.sum(made * target, axis=1)))
        slope = loss_slope(made, target, topics[chosen], centres, settings)
        slope = (slope - made * np.sum(slope * made, axis=1, keepdims=True)) / size
        slope[size[:, 0] <= 1e-6] = 0
        gradient = counts.T @ (slope / settings.batch) + settings.pull * (seen - start[used]) / settings.batch

        first[used] = settings.beta1 * first[used] + (1 - settings.beta1) * gradient
        second[used] = settings.beta2 * second[used] + (1 - settings.beta2) * np.square(gradient)
        correction = np.sqrt(1 - settings.beta2**step) / (1 - settings.beta1**step)
        rate = settings.rate * (1 - (step - 1) / steps) * correction
        rows[used] = seen - rate * first[used] / (np.sqrt(second[used]) + settings.epsilon)
        if step % steps_an_epoch == 0:
            epoch, mean = step // steps_an_epoch, total / steps_an_epoch
            print(f"fit: epoch {epoch} of {settings.epochs}, mean 1 - cosine {mean:.4f}", flush=True)
            total = 0.0
    return rows
