"""Measures a table against the teacher on labelled requests. For measurement only: nothing here reaches the training.

    python evaluate.py WORK TABLE ... --intents DIR [--agents DIR]
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

import table
from teacher import Teacher, load_tokenizer, piece_lists

Floats = NDArray[np.float32]
Encoder = Callable[[Sequence[Sequence[int]]], Floats]
SHRINKAGE = 0.5


def read_lines(path: Path) -> list[dict]:
    """The records of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def class_means(vectors: Floats, labels: NDArray[np.intp]) -> Floats:
    """Mean vector of each label 0..n."""
    return np.stack([vectors[labels == label].mean(axis=0) for label in range(labels.max() + 1)])


def centroid_accuracy(train: Floats, labels: NDArray[np.intp], test: Floats, truth: NDArray[np.intp]) -> float:
    """Percent of `test` whose nearest class mean, by cosine, is that of its class."""
    found = np.argmax(test @ table.unit(class_means(train, labels)).T, axis=1)
    return float(100 * np.mean(found == truth))


def lda_accuracy(train: Floats, labels: NDArray[np.intp], test: Floats, truth: NDArray[np.intp]) -> float:
    """Percent right of a linear discriminant; within-class covariance shrunk by SHRINKAGE to its mean diagonal."""
    means = class_means(train, labels)
    within = train - means[labels]
    covariance = (within.T @ within) / len(train)
    diagonal = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    weights = np.linalg.solve((1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal, means.T)
    scores = test @ weights - 0.5 * np.sum(means.T * weights, axis=0)
    return float(100 * np.mean(np.argmax(scores, axis=1) == truth))


def description(markdown: str) -> str:
    """The description of an agent file, up to its first example."""
    match = re.search(r"^description:\s*(.*?)^(?:\w+:|---)", markdown, re.MULTILINE | re.DOTALL)
    text = match[1] if match else markdown[:1000]
    return re.split(r"<example>|\bExamples?:", text.replace("\\n", " "))[0].strip("\"'> |\n")


class Measures:
    """The labelled requests, cut into pieces once, and their figures for any encoder."""

    def __init__(self, tokenizer: Tokenizer, intents: Path, agents: Path | None) -> None:
        """Read the test sets of the folders `intents` and `agents`."""
        self._sets = {}
        names = ("train_5", "train_10", "valid", "test")
        records = {name: read_lines(intents / f"{name}.jsonl") for name in names}
        labels = sorted({record["label"] for record in records["train_10"]})
        for name in names:
            pieces = piece_lists(tokenizer, [record["text"] for record in records[name]])
            self._sets[name] = pieces, np.array([labels.index(record["label"]) for record in records[name]])
        self._agents = None
        if agents:
            roster = read_lines(agents / "agents.jsonl")
            cases = read_lines(agents / "cases.jsonl")
            names = [agent["name"] for agent in roster]
            self._agents = (
                piece_lists(tokenizer, [f"{agent['name']}: {description(agent['markdown'])}" for agent in roster]),
                piece_lists(tokenizer, [case["user"] for case in cases]),
                np.array([names.index(case["agent"]) for case in cases]),
            )

    def figures(self, encode: Encoder) -> dict[str, float]:
        """Accuracy in percent by test set, head and number of examples."""
        vectors = {name: (encode(pieces), labels) for name, (pieces, labels) in self._sets.items()}
        result = {}
        for part in ("valid", "test"):
            for shots in (5, 10):
                data = *vectors[f"train_{shots}"], *vectors[part]
                result[f"{part} centroid {shots}"] = centroid_accuracy(*data)
                result[f"{part} lda {shots}"] = lda_accuracy(*data)
        if self._agents:
            roster, requests, truth = self._agents
            found = np.argmax(encode(requests) @ encode(roster).T, axis=1)
            result["agents top-1"] = float(100 * np.mean(found == truth))
        return result


def print_figures(columns: dict[str, dict[str, float]]) -> None:
    """A Markdown table, a measure a line and a system a column."""
    print("| measure | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for measure in next(iter(columns.values())):
        print(f"| {measure} | " + " | ".join(f"{figures[measure]:.1f}" for figures in columns.values()) + " |")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, help="work folder with the model")
    parser.add_argument("table", type=Path, nargs="+", help="table files, or .npy files of rows before rounding")
    parser.add_argument("--intents", type=Path, required=True, help="folder with train_5, train_10, valid and test .jsonl")
    parser.add_argument("--agents", type=Path, help="folder with agents.jsonl and cases.jsonl")
    arguments = parser.parse_args()
    measures = Measures(load_tokenizer(arguments.work / "model"), arguments.intents, arguments.agents)
    teacher = Teacher(arguments.work / "model", arguments.work / "vectors-measured")
    columns = {"teacher": measures.figures(teacher.encode_cached)}
    for path in arguments.table:
        rows = np.load(path) if path.suffix == ".npy" else table.read(path)
        columns[path.name] = measures.figures(lambda pieces, rows=rows: table.embed(pieces, rows))
    print_figures(columns)


if __name__ == "__main__":
    main()
