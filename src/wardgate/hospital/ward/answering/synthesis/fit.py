"""Fit a generator to real persons and keep it in a private folder. Nothing leaves by this."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wardgate import __version__
from wardgate.entropy import Entropy
from wardgate.hospital.ward.answering.synthesis.kinds import kinds
from wardgate.hospital.ward.answering.synthesis.saved import pack, unpack
from wardgate.hospital.ward.answering.synthesis.whole import PRIVATE, whole_file
from wardgate.hospital.ward.answering.synthesis.wish import Source, Wish, chosen
from wardgate.hospital.ward.generators import Fitted
from wardgate.records import dictionary_file
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Invalid
from wardgate.records.fit import FitRecord

MODEL, RECORD, CLAIM, DICTIONARY = "model.private", "fit.json", "claim.json", "dictionary.yaml"


def fit(
    source: Source,
    wish: Wish,
    *,
    out: Path,
    entropy: Entropy,
    seed: int,
    on: str,
    tell: Callable[[str], None] = lambda words: None,
) -> FitRecord:
    """Fit, and write the fit into `out`: the private model first, the record that names it last.

    Args:
        out: A folder that does not exist or is empty; readable by its owner alone.
        seed: Of everything random but the noise that protects people.
        tell: Hears what is about to happen, for people who wait.

    Raises:
        Invalid: the folder is taken, or tables, dictionary, generator and budget do not fit each other.
        Refused: the budget is too small for so few persons, or cannot be kept.
        Unsupported: the generator needs an extra that is not installed.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Invalid(f"{out} is there already; name a new folder for the fit")
    read = source.read()
    generator, promised, advice = chosen(wish, read)
    allowed = kinds(generator.name)
    tell(advice.words)
    tell(f"fitting '{generator.name}'")
    fitted = generator.fit(
        read.features,
        read.dictionary,
        tuning=read.tuned,
        epsilon=1.0 if wish.epsilon is None else wish.epsilon,
        delta=wish.delta,
        entropy=entropy,
        rng=np.random.default_rng(seed),
    )
    claim = fitted.claim
    if claim.random != promised.random:
        raise RuntimeError("a fit claims something else than its generator promised")
    model = pack(fitted, types=allowed)
    record = FitRecord(
        generator=generator.name,
        settings=dict(wish.settings),
        dictionary=read.dictionary,
        claim=claim,
        rows=fitted.persons,
        advice=advice.words,
        model_sha256=sha256(model),
        wardgate=__version__,
        on=on,
    )
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    parts = {
        MODEL: model,
        DICTIONARY: dictionary_file.text_of(read.dictionary).encode(),
        CLAIM: json.dumps(claim.plain(), indent=2).encode(),
        RECORD: json.dumps(record.plain(), indent=2).encode(),
    }
    for name, content in parts.items():
        with whole_file(out / name, mode=PRIVATE) as stream:
            stream.write(content)
    return record


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A fit as it was kept."""

    record: FitRecord
    fitted: Fitted


def opened(folder: Path) -> Opened:
    """Return the fit that a folder holds.

    Raises:
        Invalid: the folder holds none.
        Broken: it was cut off or changed.
    """
    if not (folder / RECORD).is_file() or not (folder / MODEL).is_file():
        raise Invalid(f"{folder} holds no fit; expected {RECORD} and {MODEL}, as 'wardgate synth fit' writes them")
    try:
        plain = json.loads((folder / RECORD).read_bytes())
    except ValueError as error:
        raise Broken(f"{folder / RECORD} is not JSON") from error
    record = FitRecord.from_plain(plain)
    model = (folder / MODEL).read_bytes()
    if sha256(model) != record.model_sha256:
        raise Broken(f"{folder / MODEL} is not the model that {RECORD} names; fit again")
    allowed = kinds(record.generator)
    fitted: Any = unpack(model, types=allowed)
    expected = isinstance(fitted, allowed[0])
    if not expected:
        raise Broken(f"{folder / MODEL} holds no fitted generator")
    found: Fitted = fitted
    return Opened(record=record, fitted=found)
