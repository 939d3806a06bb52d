"""A hospital's warehouse asked in SQL that it runs itself: what a study needs of an OMOP CDM, and nothing more.

Two tables come out: `events`, with the columns of EVERY, and `codes`. Written as Parquet they are a source of events
like any other, with the same answers as the CDM itself.
"""

from collections.abc import Mapping, Sequence

from wardgate.hospital.ward.source.events import CODES, EVERY, Expression, Pick
from wardgate.hospital.ward.source.omop.expressions import facts, written
from wardgate.hospital.ward.source.omop.occurrences import OCCURRENCE, Cdm, sexes
from wardgate.hospital.ward.source.omop.picking import asked_once, check, visits
from wardgate.hospital.ward.source.omop.vocabulary import Asked, joined, known, nothing, resolved, spelled


def export_expressions(
    tables: Mapping[str, Expression],
    picks: Sequence[Pick],
    *,
    units: Mapping[str, str] | None = None,
    unit_names: Mapping[str, str] | None = None,
) -> Mapping[str, Expression]:
    """Return what a study asks of a CDM as two tables that compile for a warehouse.

    Args:
        tables: Of the CDM, by name; `person` at least, as `tables.unbound_tables` gives them all.
        picks: What the study asks for.
        units: UCUM unit of numbers that come without one, by VOCABULARY/CODE.
        unit_names: The source's own spellings to UCUM.

    Returns:
        `events`: what any pick asks for, each event once, and birth, death, sex, observed times and visits of all
        persons. `codes`: the codes of these events and all their ancestors.

    Raises:
        Invalid: a pick asks for descendants, and there is no `concept_ancestor`.
        Unsupported: a pick asks for concepts in the table of deaths.
    """
    cdm = Cdm(tables=tables, units=units or {}, unit_names=unit_names or {}, late=_late)
    check(cdm, picks)
    events = joined([_events(cdm, picks), *facts(cdm)])
    return {"events": events, "codes": _codes(cdm, picks)}


def _late(date: Expression) -> Expression:
    """The last second of a date, as text: BigQuery has no sum of a DATETIME and an interval that Ibis could write."""
    return (date.cast("string") + " 23:59:59").cast("timestamp(6)")


def _events(cdm: Cdm, picks: Sequence[Pick]) -> Expression:
    """Every event that is asked for, every visit and every sex, each once."""
    rows = joined([asked_once(cdm, picks), visits(cdm), sexes(cdm)])
    events = written(cdm, rows.select(*OCCURRENCE), said=_said(picks))
    return events.select(*EVERY)


def _said(picks: Sequence[Pick]) -> Mapping[str, str]:
    """The vocabulary of codes as recorded that the studied vocabulary may not have, by the code."""
    found = {}
    for pick in picks:
        for concept in pick.concepts:
            if concept.source and concept.vocabulary is not None:
                found[str(concept.code)] = str(concept.vocabulary)
    return found


def _codes(cdm: Cdm, picks: Sequence[Pick]) -> Expression:
    """The codes that picks stand for, and all that lie above them."""
    concepts = [concept for pick in picks for concept in pick.concepts]
    parts = []
    for recorded in (False, True):
        asked = [Asked(group=0, concept=one) for one in concepts if one.source == recorded]
        if asked:
            parts.append(resolved(cdm.tables, asked, recorded=recorded).select("concept_id"))
    if not parts:
        return nothing(CODES)
    return _named(cdm, joined(parts).distinct())


def code_rows(cdm: Cdm) -> Expression:
    """Return every code that any event of the CDM has, and all that lie above them, with the columns of CODES."""
    parts = []
    for one in cdm.clinical:
        table = cdm.tables[one.table]
        parts += [table.select(concept_id=table[column]) for column in (one.concept, one.source_concept)]
    person = cdm.tables["person"]
    parts.append(person.select(concept_id="gender_concept_id"))
    used = joined(parts).distinct()
    return _named(cdm, used.filter(used.concept_id > 0))


def _named(cdm: Cdm, used: Expression) -> Expression:
    """These concepts and all that lie above them, by their codes."""
    above = nothing({"lower": "int64", "parent_id": "int64"})
    if "concept_ancestor" in cdm.tables:
        ancestor = cdm.tables["concept_ancestor"]
        above = ancestor.select(lower="descendant_concept_id", parent_id="ancestor_concept_id")
        above = above.filter(above.lower.isin(used.concept_id) & (above.lower != above.parent_id))
    own = joined([used, above.select(concept_id="parent_id")]).distinct()
    rows = own.left_join(above, own.concept_id == above.lower).select("concept_id", "parent_id")
    vocabulary = known(cdm.tables)
    for column in ("concept_id", "parent_id"):
        keys = vocabulary.group_by(**{f"{column}_at": "concept_id"})
        keys = keys.aggregate(**{f"{column}_key": vocabulary.key.min()})
        rows = rows.left_join(keys, rows[column] == keys[f"{column}_at"])
    made = rows.select(
        code=spelled(rows.concept_id, rows.concept_id_key),
        concept_id=rows.concept_id,
        parent=spelled(rows.parent_id, rows.parent_id_key),
    )
    return made.select(**{name: made[name].cast(kind) for name, kind in CODES.items()}).distinct()
