"""How many codes each concept set stands for at one hospital: of its vocabulary, else of its events."""

from collections.abc import Mapping, Sequence

import ibis

from wardgate.hospital.ward.source.events import Engine, Expression, Pick
from wardgate.hospital.ward.source.omop.occurrences import Cdm
from wardgate.hospital.ward.source.omop.picking import check, chosen
from wardgate.hospital.ward.source.omop.vocabulary import ALWAYS, Asked, joined, resolved
from wardgate.records.concepts import DEATH


def code_counts(cdm: Cdm, engine: Engine, picks: Sequence[Pick]) -> Mapping[str, int]:
    """Return the codes of each pick, by its name; death counts as one code that every source knows.

    Raises:
        Invalid: a pick asks for descendants, and there is no `concept_ancestor`; or the source cannot be read.
    """
    check(cdm, picks)
    counts = [1 if pick.name == DEATH else 0 for pick in picks]
    asked = {at: pick for at, pick in enumerate(picks) if pick.name != DEATH}
    if asked:
        for at, number in _numbers(engine, _of_vocabulary(cdm, asked)):
            counts[at] = number
    unknown = [at for at, number in enumerate(counts) if not number]
    rows = chosen(cdm, [picks[at] for at in unknown])
    if rows is not None:
        events = _written(rows)
        for at, number in _numbers(engine, events.group_by("pick").aggregate(n=events.code.nunique())):
            counts[unknown[at]] = number
    found: dict[str, int] = {}
    for pick, number in zip(picks, counts, strict=True):
        found[pick.name] = max(number, found.get(pick.name, 0))
    return found


def _of_vocabulary(cdm: Cdm, picks: Mapping[int, Pick]) -> Expression:
    """Concept ids that picks stand for and that the vocabulary has, by pick."""
    ins: list[Expression] = []
    outs: list[Expression] = []
    for recorded in (False, True):
        named = [
            (concept.exclude, Asked(group=at, concept=concept))
            for at, pick in picks.items()
            for concept in pick.concepts
            if concept.source == recorded and not (concept.exclude and concept.value is not None)
        ]
        for exclude, into in ((False, ins), (True, outs)):
            chosen_here = [one for out, one in named if out == exclude]
            if chosen_here:
                into.append(resolved(cdm.tables, chosen_here, recorded=recorded))
    found = joined(ins)
    if outs:
        found = found.anti_join(joined(outs), ["group", "concept_id"])
    there = found.concept_id.isin(list(ALWAYS))
    if "concept" in cdm.tables:
        there = there | found.concept_id.isin(cdm.tables["concept"].concept_id)
    found = found.filter(there).rename(pick="group")
    return found.group_by("pick").aggregate(n=found.concept_id.nunique())


def _written(rows: Expression) -> Expression:
    """The code of an event as some text: of its concept, else of the concept as recorded, else as it was written."""
    code = ibis.coalesce(
        rows.concept_id.nullif(0).cast("string"),
        rows.source_concept_id.nullif(0).cast("string"),
        rows.source_value,
        "",
    )
    return rows.select("pick", code=code)


def _numbers(engine: Engine, expression: Expression) -> list[tuple[int, int]]:
    return [
        (int(at), int(n)) for batch in engine.batches(expression) for at, n in batch.select("pick", "n").iter_rows()
    ]
