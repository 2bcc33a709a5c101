"""The sentences the table is fitted to, by source. Every choice is made by a seeded generator."""

import gzip
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import grammar

COMBINATIONS = 12
MAX_WORDS = 30
COMMON_NOUNS = 4000
LEAD_INS = (
    "hey, ", "hi, ", "hello, ", "hi there, ", "ok so ", "quick question: ", "I have a question: ", "sorry to bother you, ",
    "please, ", "excuse me, ", "one more thing: ", "I was wondering, ", "hmm, ", "um, ", "alright, ", "hey there, ", "listen, ",
    "good morning, ", "good evening, ", "could you help me? ", "so, ", "well, ", "question for you: ", "help! ", "yo, ",
)  # fmt: skip
TAILS = (
    " please", " thanks", " thank you", ", please", ", thanks in advance", " for me", " right now", " asap", " today", ", okay?",
    " when you have a minute", ", can you help?", " if you can", ", any ideas?", " again", " tomorrow", ", it's urgent",
)  # fmt: skip
CONJUNCTION = re.compile(r"\s+(?=(?:and|but|because|so|then|when|while|if|or|since|although)\s)|(?<=[,;:])\s+", re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
GROUP = re.compile(r"\[([^\[\]]*)\]")
PUNCTUATION = re.compile(r"[^\w\s']|_")


class Sentence(NamedTuple):
    """A sentence of the corpus. Only written requests have a topic."""

    source: str
    topic: str
    text: str


def normalised(text: str) -> str:
    """The text without case, accents, punctuation and doubled spaces: what makes two sentences the same."""
    plain = unicodedata.normalize("NFKD", text.lower())
    return " ".join(re.sub(r"[^\w\s]|_", " ", "".join(c for c in plain if not unicodedata.combining(c))).split())


def spoken(text: str) -> str:
    """The text as it is typed in haste or heard: lower case, no punctuation but apostrophes."""
    return " ".join(PUNCTUATION.sub(" ", text.lower()).split())


def expansions(line: str, generator: random.Random) -> list[str]:
    """Up to COMBINATIONS different readings of a line with `[a|b]` groups."""
    parts = GROUP.split(line)
    groups = [part.split("|") if index % 2 else [part] for index, part in enumerate(parts)]
    readings: dict[str, None] = {}
    for _ in range(COMBINATIONS * 2):
        readings[" ".join("".join(generator.choice(group) for group in groups).split())] = None
        if len(readings) == COMBINATIONS or len(parts) == 1:
            break
    return list(readings)


def cut(text: str, generator: random.Random) -> str:
    """A run of 3 to 8 words of the text."""
    words = text.split()
    length = min(len(words), generator.randint(3, 8))
    start = generator.randint(0, len(words) - length)
    return " ".join(words[start : start + length])


def bare(word: str) -> str:
    """A word in lower case, without punctuation around it."""
    return word.lower().strip('.,;:?!()"')


def replaced(text: str, known: frozenset[str], everyday: list[str], nouns: list[str], generator: random.Random) -> str:
    """The text with one of its nouns replaced by another: one of `everyday`, or one of `nouns` by frequency.

    `known` is `everyday` as a set.
    """
    words = text.split()
    places = [index for index, word in enumerate(words) if bare(word) in known]
    if places:
        rank = int(len(nouns) * generator.random() ** 3)
        words[generator.choice(places)] = generator.choice(everyday) if generator.random() < 0.5 else nouns[rank]
    return " ".join(words)


def readings(folder: Path, generator: random.Random) -> list[list[tuple[str, str]]]:
    """(topic, reading) pairs of the written requests, a list a file. A comment line opens a topic."""
    files = []
    for file in sorted(folder.glob("*.txt")):
        topic, pairs = file.stem, []
        for line in map(str.strip, file.read_text(encoding="utf-8").splitlines()):
            if line.startswith("#"):
                topic = f"{file.stem} {line[1:].strip()}"
            elif line:
                pairs += [(topic, text) for text in expansions(line, generator)]
        files.append(pairs)
    return files


def written(folder: Path, generator: random.Random) -> Iterator[tuple[str, str]]:
    """Requests written for this purpose with their topics, as written and, every other one, as spoken."""
    for pairs in readings(folder, generator):
        for topic, text in pairs:
            yield topic, text
            if generator.random() < 0.5:
                yield topic, spoken(text)


def recombined(folder: Path, nouns: list[str], generator: random.Random) -> Iterator[tuple[str, str]]:
    """The written requests in other shapes: with another noun or led in (these keep their topic), cut, joined, halved."""
    files = readings(folder, generator)
    words = {word for pairs in files for _, text in pairs for word in map(bare, text.split()) if len(word) > 3}
    known = frozenset(words.intersection(nouns[:COMMON_NOUNS]))
    everyday = sorted(known)
    for pairs in files:
        texts = [text for _, text in pairs]
        halves = [half for text in texts if len(half := CONJUNCTION.split(text, maxsplit=1)) == 2]
        for topic, text in pairs:
            plain = spoken(text)
            yield from ((topic, replaced(plain, known, everyday, nouns, generator)) for _ in range(2))
            yield from (("", cut(plain, generator)) for _ in range(1 + (len(plain.split()) > 8)))
            chance = generator.random()
            if chance < 0.10:
                yield topic, generator.choice(LEAD_INS) + text
            elif chance < 0.20:
                yield topic, text.rstrip(".!?") + generator.choice(TAILS)
            elif chance < 0.30 and halves:
                yield "", " ".join((generator.choice(halves)[0], generator.choice(halves)[1]))
            elif chance < 0.40:
                yield from (("", half) for half in CONJUNCTION.split(text))
            elif chance < 0.50:
                yield "", f"{text} {generator.choice(texts)}"


def wordnet(folder: Path, generator: random.Random) -> Iterator[str]:
    """Glosses, example sentences and 'word: gloss' lines of WordNet, commoner words first."""
    counts = word_counts(folder)
    entries = []
    for kind in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{kind}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            fields, gloss = line.split(" | ", 1)
            columns = fields.split(" ")
            words = [columns[4 + 2 * index].partition("(")[0].replace("_", " ") for index in range(int(columns[3], 16))]
            weight = max(counts[kind, word.lower()] for word in words)
            entries.append((-weight, generator.random(), words, gloss))
    for _, _, words, gloss in sorted(entries):
        definition, *examples = re.split(r';\s*(?=")', gloss.strip())
        for example in examples:
            quoted = example.partition('"')[2].rpartition('"')[0] or example
            yield quoted.strip('" ')
        definition = definition.strip(" ;")
        yield definition if generator.random() < 0.5 else f"{generator.choice(words)}: {definition}"


def word_counts(folder: Path) -> Counter[tuple[str, str]]:
    """How often WordNet's own texts use a word as a noun, verb, adj or adv. Every word of its index is there, maybe with 0."""
    kinds = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
    counts: Counter[tuple[str, str]] = Counter()
    for kind in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"index.{kind}").read_text(encoding="utf-8").splitlines():
            if not line.startswith(" "):
                counts[kind, line.split(" ", 1)[0].replace("_", " ")] += 0
    for line in (folder / "cntlist.rev").read_text(encoding="utf-8").splitlines():
        key, _, count = line.split(" ")
        word, _, sense = key.partition("%")
        counts[kinds[sense[0]], word.replace("_", " ")] += int(count)
    return counts


def descriptions(file: Path, generator: random.Random) -> Iterator[str]:
    """Debian package descriptions: title lines and sentences, in a random order, few of packages with a common first word."""
    seen: Counter[str] = Counter()
    records = file.read_text(encoding="utf-8").split("\n\n")
    generator.shuffle(records)
    for record in records:
        _, _, body = record.partition("Description-en: ")
        title, *rest = body.split("\n")
        family = re.split(r"[-0-9]", record.partition("\n")[0].removeprefix("Package: "))[0]
        seen[family] += 1
        if seen[family] > 4 or not title:
            continue
        yield title
        for paragraph in "\n".join(rest).split("\n .\n"):
            if not re.search(r"^  ", paragraph, re.MULTILINE):
                sentences = SENTENCE_END.split(" ".join(paragraph.split()))
                yield from (sentence for sentence in sentences if "This package" not in sentence)


def manuals(folder: Path, generator: random.Random) -> Iterator[str]:
    """Manual pages: the NAME line of each and the sentences of its running text, in a random order of pages."""
    pages = sorted(page for page in folder.glob("man[1-8]*/*.gz") if not page.is_symlink())
    generator.shuffle(pages)
    for page in pages:
        text = gzip.decompress(page.read_bytes()).decode("utf-8", "replace")
        found = 0
        for paragraph in roff_paragraphs(text):
            for sentence in SENTENCE_END.split(paragraph):
                if re.fullmatch(r"[\w\s,.;:()'’/-]{25,220}[.!?]?", sentence) and found < 30:
                    found += 1
                    yield sentence.partition(" - ")[2] or sentence


def roff_paragraphs(text: str) -> Iterator[str]:
    """The running text of a man(7) page; macros that set a word in bold or italics are part of it, all others end a paragraph."""
    lines: list[str] = []
    for line in [*text.splitlines(), ".PP"]:
        if match := re.match(r"\.(?:B|I|BR|BI|RB|IR|RI|IB)\s+(.*)", line):
            lines.append(match[1].replace('"', ""))
        elif line[:1] in (".", "'") or not line.strip():
            yield " ".join(roff_plain(" ".join(lines)).split())
            lines = []
        else:
            lines.append(line)


def roff_plain(text: str) -> str:
    """A line without the escapes of troff."""
    text = re.sub(r"\\f(?:\[\w*\]|\(\w\w|.)|\\[&/,|^]|\\s[-+]?\d", "", text)
    text = re.sub(r"\\\((?:em|en)|\\\[(?:em|en)\]", "-", text)
    return re.sub(r"\\\(aq|\\\[aq\]|\\\(cq", "'", text).replace("\\-", "-").replace("\\ ", " ").replace("\\(bu", "")


def without_topic(sentences: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The sentences with an empty topic each."""
    return (("", sentence) for sentence in sentences)


def build(work: Path, text: Path, excluded: Iterable[str], limits: dict[str, int], seed: int) -> list[Sentence]:
    """The corpus without duplicates, at most `limits[source]` sentences of a source, none of them in `excluded`."""
    lexicon = work / "debian/usr/share/wordnet"
    barred = {normalised(sentence) for sentence in excluded}
    counts = word_counts(lexicon)
    nouns = grammar.by_frequency(counts, "noun")[:9000]
    generators = {source: random.Random(f"{seed} {source}") for source in limits}
    streams: dict[str, Iterable[tuple[str, str]]] = {
        "written": written(text, generators["written"]),
        "recombined": recombined(text, nouns, generators["recombined"]),
        "wordnet": without_topic(wordnet(lexicon, generators["wordnet"])),
        "descriptions": without_topic(descriptions(work / "descriptions.txt", generators["descriptions"])),
        "manuals": without_topic(manuals(work / "debian/usr/share/man", generators["manuals"])),
        "grammar": without_topic(grammar.requests(counts, generators["grammar"])),
    }
    seen: set[str] = set()

    def fresh(stream: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        for topic, sentence in stream:
            key, plain = " ".join(sentence.lower().split()), normalised(sentence)
            if plain and key not in seen and plain not in barred and len(plain.split()) <= MAX_WORDS:
                seen.add(key)
                yield topic, sentence

    return [
        Sentence(source, topic, sentence)
        for source, stream in streams.items()
        for topic, sentence in islice(fresh(stream), limits[source])
    ]
