"""More of the few from a kept fit: drawn, audited on real persons, and written only in the form that does no harm."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.hospital.ward.answering.synthesis.conditions import wanted_of
from wardgate.hospital.ward.answering.synthesis.draw import Drawn, Form, write
from wardgate.hospital.ward.answering.synthesis.fit import opened
from wardgate.hospital.ward.answering.synthesis.rebalanced import Rebalanced
from wardgate.hospital.ward.answering.synthesis.rebalancing import rebalance
from wardgate.hospital.ward.answering.synthesis.wish import Source, named
from wardgate.hospital.ward.generators import Fitted
from wardgate.records.errors import Invalid

SLOW = ("tabular-gan", "private-gan", "autoregressive")
"""Generators that are not fitted five times over unless somebody asks for it."""


def more(
    folder: Path,
    source: Source,
    requests: Sequence[str],
    *,
    out: Path,
    form: Form,
    entropy: Entropy,
    seed: int,
    on: str,
    refits: bool | None = None,
) -> tuple[Rebalanced, Drawn]:
    """Draw more of those who are wanted, decide whether that does good, and write the corpus that may be used.

    Args:
        requests: As text; see `conditions.wanted_of`.
        refits: Fit the generator anew for every fold of the validation, so that all real persons can be judged on;
            absent, where a fit takes seconds. Otherwise the tuning persons alone judge, who are few.

    Raises:
        Invalid: the folder holds no fit, the tables are not described by its dictionary, or a request cannot be met.
        Broken: the fit was changed.
        Unsupported: timelines.
    """
    if source.tuning is None:
        raise Invalid("whether more rows do good is judged on persons that the generator did not see: give --tuning")
    if not requests:
        raise Invalid("nothing is asked for; name who is wanted with --more, e.g. label=1:2")
    kept = opened(folder)
    record = kept.record
    read = Source(real=source.real, tuning=source.tuning, dictionary=record.dictionary).read()
    if read.tuned is None:
        raise RuntimeError("a tuning table was named and not read")
    wanted = [wanted_of(text, record.dictionary) for text in requests]
    generator = named(record.generator, record.settings, record.dictionary)

    def refit(table: pl.DataFrame, rng: np.random.Generator) -> Fitted:
        return generator.fit(
            table,
            record.dictionary,
            epsilon=record.claim.epsilon or 1.0,
            delta=record.claim.delta or 1e-6,
            entropy=entropy,
            rng=rng,
        )

    found = rebalance(
        kept.fitted,
        wanted,
        real=read.features,
        tuning=read.tuned,
        dictionary=record.dictionary,
        refit=refit if (record.generator not in SLOW if refits is None else refits) else None,
        rng=np.random.default_rng(seed),
    )
    drawn = write(iter([found.accepted]), kept.record, out=out, form=form, on=on)
    return found, drawn


def told(found: Rebalanced) -> str:
    """Return the whole audit as JSON."""
    return json.dumps(found.plain(), indent=2)
