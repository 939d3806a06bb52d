"""Concept sets -> the occurrences that they ask for, by joins inside the query. Nothing here sees a row.

A concept set becomes a list of concept ids and is joined to the narrow columns of each table, so that an engine reads
little. Where what was recorded, or a coded value, decides too, the list is one of the distinct combinations that occur.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis

from wardgate.hospital.ward.source.events import Expression, Pick
from wardgate.hospital.ward.source.omop.occurrences import OCCURRENCE, Cdm, occurrences, sexes
from wardgate.hospital.ward.source.omop.tables import Clinical
from wardgate.hospital.ward.source.omop.vocabulary import Asked, code, joined, known, resolved, valued
from wardgate.records.concepts import DEATH as DEATH_SET
from wardgate.records.concepts import Concept
from wardgate.records.errors import Invalid, Unsupported


def check(cdm: Cdm, picks: Sequence[Pick]) -> None:
    """Refuse what cannot be asked of this CDM.

    Raises:
        Invalid: a pick asks for descendants, and there is no `concept_ancestor`.
        Unsupported: a pick asks for concepts in the table of deaths.
    """
    for pick in picks:
        if pick.table == "death" and pick.name != DEATH_SET:
            raise Unsupported(
                f"concept set '{pick.name}' is asked for in the table of deaths: the cause of death is not read; ask "
                f"for '{DEATH_SET}'"
            )
        lower = [code(concept) for concept in pick.concepts if concept.descendants and not concept.source]
        if lower and "concept_ancestor" not in cdm.tables:
            raise Invalid(
                f"concept set '{pick.name}' asks for what lies below {lower[0]}, and the table concept_ancestor is "
                "absent or empty here; load the vocabulary into the database, or list the concepts in the study"
            )


def chosen(cdm: Cdm, picks: Sequence[Pick]) -> Expression | None:
    """Return the occurrences that picks ask for, each with its `pick`; None where nothing can be."""
    asked = {at: pick for at, pick in enumerate(picks) if pick.name != DEATH_SET}
    plain = {at: pick for at, pick in asked.items() if not _narrow(pick)}
    narrow = {at: pick for at, pick in asked.items() if _narrow(pick)}
    wanted = _wanted(cdm, plain) if plain else None
    parts = []
    for one in (None, *cdm.clinical):
        here = [at for at, pick in plain.items() if _in_table(pick, one)]
        if wanted is not None and here:
            found = wanted if len(here) == len(plain) else wanted.filter(wanted.pick.isin(here))
            rows = sexes(cdm) if one is None else occurrences(cdm, one)
            found = found.rename(asked="concept_id")
            parts.append(rows.inner_join(found, rows.concept_id == found.asked).select("pick", *OCCURRENCE))
    if narrow:
        parts += _by_combination(cdm, narrow)
    return joined(parts) if parts else None


def asked_once(cdm: Cdm, picks: Sequence[Pick]) -> list[Expression]:
    """Return, by table, the events other than visits that any pick asks for, each once."""
    asked = {at: pick for at, pick in enumerate(picks) if pick.name != DEATH_SET and pick.table != "visit"}
    return _by_combination(cdm, asked, once=True)


def visits(cdm: Cdm) -> list[Expression]:
    """Return all visits."""
    return [occurrences(cdm, one) for one in cdm.clinical if one.name == "visit"]


def _in_table(pick: Pick, one: Clinical | None) -> bool:
    return pick.table is None or (one is not None and pick.table == one.name)


def _narrow(pick: Pick) -> bool:
    """Whether more than the standard concept decides."""
    return any(concept.source or concept.value is not None for concept in pick.concepts)


def _wanted(cdm: Cdm, plain: Mapping[int, Pick]) -> Expression:
    """The concept ids that picks stand for: `pick`, `concept_id`, no row twice; what is excluded is out."""
    ins = [Asked(group=at, concept=one) for at, pick in plain.items() for one in pick.concepts if not one.exclude]
    outs = [Asked(group=at, concept=one) for at, pick in plain.items() for one in pick.concepts if one.exclude]
    found = resolved(cdm.tables, ins)
    if outs:
        found = found.anti_join(resolved(cdm.tables, outs), ["group", "concept_id"])
    return found.select(pick="group", concept_id="concept_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Covering:
    """Entries of a concept set that are alike in all but the code, and the concept ids that they stand for."""

    exclude: bool
    source: bool
    concepts: tuple[Concept, ...]
    ids: Expression
    values: Expression | None

    def met(self, table: Expression) -> Expression:
        """Whether one of the entries covers a combination."""
        met = table.k_source.isin(self.ids) if self.source else table.k_concept.isin(self.ids)
        if self.source:
            met = met | _said(table.k_text, self.concepts)
        return met if self.values is None else met & table.k_value.isin(self.values)


def _entries(cdm: Cdm, pick: Pick) -> tuple[_Covering, ...]:
    groups: dict[tuple[bool, bool, str | None], list[Concept]] = {}
    for concept in pick.concepts:
        groups.setdefault((concept.exclude, concept.source, concept.value), []).append(concept)
    return tuple(
        _Covering(
            exclude=exclude,
            source=source,
            concepts=tuple(concepts),
            ids=resolved(cdm.tables, [Asked(group=0, concept=one) for one in concepts], recorded=source).concept_id,
            values=None if value is None else valued(cdm.tables, value).concept_id,
        )
        for (exclude, source, value), concepts in groups.items()
    )


def _by_combination(cdm: Cdm, picks: Mapping[int, Pick], *, once: bool = False) -> list[Expression]:
    """Events, by table, for which the code as recorded, or the coded value, decides too.

    The distinct combinations of what decides are judged, few as they are, and joined back. Where the vocabulary does
    not know what was recorded, its text is compared with the codes.

    Args:
        once: Without `pick` and without visits: each event once, whatever asks for it.
    """
    tables = [one for one in cdm.clinical if any(_in_table(pick, one) for pick in picks.values())]
    concepts = [concept for pick in picks.values() for concept in pick.concepts]
    rows = [_keyed(cdm, occurrences(cdm, one), concepts) for one in tables if not (once and one.name == "visit")]
    if not rows:
        return []
    keys = ["table", *(name for name in rows[0].columns if name.startswith("k_"))]
    occurring = joined([one.select(*keys).distinct() for one in rows]).distinct()
    parts = []
    for at, pick in picks.items():
        inside, outside = ibis.literal(False), ibis.literal(False)
        for entry in _entries(cdm, pick):
            met = entry.met(occurring)
            inside, outside = (inside, outside | met) if entry.exclude else (inside | met, outside)
        here = ibis.literal(True) if pick.table is None else occurring.table == pick.table
        parts.append(occurring.filter(here & inside & ~outside).mutate(pick=ibis.literal(at, "int16")))
    found = joined(parts)
    found = found.select(*keys).distinct() if once else found
    found = found.rename({f"of_{name}": name for name in keys})
    columns = OCCURRENCE if once else ("pick", *OCCURRENCE)
    return [one.inner_join(found, [one[name] == found[f"of_{name}"] for name in keys]).select(*columns) for one in rows]


def _keyed(cdm: Cdm, rows: Expression, concepts: Sequence[Concept]) -> Expression:
    """Occurrences with what may decide about them, and 0 or no text where it does not."""
    keys = {"k_concept": rows.concept_id.fill_null(0), "k_source": ibis.literal(0, "int64"), "k_text": ibis.literal("")}
    recorded = [one for one in concepts if one.source]
    if recorded:
        here = known(cdm.tables).select(known_id="concept_id").distinct()
        rows = rows.left_join(here, rows.source_concept_id == here.known_id)
        source = rows.source_concept_id.fill_null(0)
        text = rows.source_value.fill_null("")
        unmapped = (source == 0) | rows.known_id.isnull()
        keys |= {"k_source": source, "k_text": ibis.ifelse(unmapped & _said(text, recorded), text, "")}
    coded = any(one.value is not None for one in concepts)
    keys["k_value"] = rows.value_concept_id.fill_null(0) if coded else ibis.literal(0, "int64")
    return rows.mutate(**keys)


def _said(text: Expression, concepts: Sequence[Concept]) -> Expression:
    """Whether a text as recorded is one of the codes, or begins like one."""
    whole = [str(one.code) for one in concepts if one.code is not None and not one.descendants]
    starts = [str(one.code) for one in concepts if one.code is not None and one.descendants]
    met = text.isin(whole) if whole else ibis.literal(False)
    for start in starts:
        met = met | text.startswith(start)
    return met
