"""Makes the table: corpus, teacher vectors, start rows, fit, int4, files.

    python distil.py WORK OUT [--text DIR] [--exclude FILE ...]
"""

import argparse
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

import corpus
import table
from evaluate import read_lines
from fit import Settings, fit, projection, start_rows
from teacher import Teacher, load_tokenizer, piece_lists

SEED = 13
FITS = 2  # the table is the mean of so many fits, which differ in their seeds
LIMITS = {
    "written": 200_000,
    "recombined": 150_000,
    "wordnet": 60_000,
    "descriptions": 40_000,
    "manuals": 20_000,
    "grammar": 60_000,
}
WEIGHTS = {"written": 1.0, "recombined": 1.0, "wordnet": 1.0, "descriptions": 0.5, "manuals": 0.5, "grammar": 1.0}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path, help="work folder that fetch.sh has filled; holds the cache of vectors, too")
    parser.add_argument("out", type=Path, help="where table.bin and vocabulary.txt go")
    parser.add_argument("--text", type=Path, default=Path(__file__).parent / "text", help="folder of written requests")
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="JSON lines files; no sentence equals a text of theirs")
    arguments = parser.parse_args()

    excluded = [
        record[field]
        for file in arguments.exclude
        for record in read_lines(file)
        for field in ("text", "user", "context")
        if field in record
    ]
    sentences = corpus.build(arguments.work, arguments.text, excluded, LIMITS, SEED)
    for source, count in Counter(sentence.source for sentence in sentences).items():
        print(f"corpus: {count} sentences from {source}")
    digest = hashlib.sha256("\n".join(sentence.text for sentence in sentences).encode()).hexdigest()
    print(f"corpus: {len(sentences)} sentences, sha256 {digest}", flush=True)

    tokenizer = load_tokenizer(arguments.work / "model")
    vocabulary = (arguments.work / "model/vocab.txt").read_text(encoding="utf-8").splitlines()
    pieces = piece_lists(tokenizer, [sentence.text for sentence in sentences])
    sentences = [sentence for sentence, item in zip(sentences, pieces, strict=True) if item]
    pieces = [item for item in pieces if item]
    teacher = Teacher(arguments.work / "model", arguments.work / "vectors")
    vectors = teacher.encode_cached(pieces)
    alone = teacher.encode_cached([[piece] for piece in range(len(vocabulary))])

    settings = Settings()
    weights = np.array([WEIGHTS[sentence.source] for sentence in sentences], np.float32)
    names = sorted({sentence.topic for sentence in sentences} - {""})
    numbers = {"": -1} | {name: number for number, name in enumerate(names)}
    topics = np.array([numbers[sentence.topic] for sentence in sentences])
    basis = projection(vectors, settings.dims)
    kept = float(np.mean(np.linalg.norm(vectors @ basis, axis=1)))
    print(f"fit: the projection keeps {kept:.4f} of the vectors' length", flush=True)
    start = start_rows(alone, pieces, basis, settings.frequency)
    targets = table.unit(vectors @ basis)
    fits = [fit(start, pieces, targets, topics, weights, replace(settings, seed=SEED + number)) for number in range(FITS)]
    rows = np.mean(fits, axis=0)
    rows[[piece.startswith("[") and piece.endswith("]") for piece in vocabulary]] = 0
    scales, levels = table.quantise(rows)

    arguments.out.mkdir(parents=True, exist_ok=True)
    np.save(arguments.work / "rows.npy", rows)
    table.write(arguments.out / "table.bin", scales, levels)
    (arguments.out / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    print(f"table: sha256 {hashlib.sha256((arguments.out / 'table.bin').read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
