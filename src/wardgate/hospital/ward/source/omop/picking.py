"""Concept sets -> the occurrences that they ask for, by joins inside the query. Nothing here sees a row.

A concept set becomes a list of concept ids and is joined to the narrow columns of each table, so that an engine reads
little. Where what was recorded, or a coded value, decides too, the list is one of the distinct combinations that occur.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis

from wardgate.hospital.ward.source.events import Expression, Pick
from wardgate.hospital.ward.source.omop.occurrences import OCCURRENCE, Cdm, all_occurrences, keyed, sexes
from wardgate.hospital.ward.source.omop.vocabulary import Asked, code, joined, nothing, resolved, valued
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
    parts = []
    if plain:
        wanted = _wanted(cdm, plain)
        for rows in (sexes(cdm), all_occurrences(cdm)):
            met = wanted.only.isnull() | (wanted.only == rows.table)
            found = rows.inner_join(wanted, [rows.concept_id == wanted.asked, met])
            parts.append(found.select("pick", *OCCURRENCE))
    if narrow:
        parts.append(_by_combination(cdm, narrow))
    return joined(parts) if parts else None


def asked_once(cdm: Cdm, picks: Sequence[Pick]) -> Expression:
    """Return the events other than visits that any pick asks for, each once."""
    asked = {at: pick for at, pick in enumerate(picks) if pick.name != DEATH_SET and pick.table != "visit"}
    return _by_combination(cdm, asked, once=True) if asked else nothing(OCCURRENCE)


def visits(cdm: Cdm) -> Expression:
    """Return all visits."""
    rows = all_occurrences(cdm)
    return rows.filter(rows.table == "visit")


def _narrow(pick: Pick) -> bool:
    """Whether more than the standard concept decides."""
    return any(concept.source or concept.value is not None for concept in pick.concepts)


def _wanted(cdm: Cdm, plain: Mapping[int, Pick]) -> Expression:
    """The concept ids that picks stand for: `pick`, `asked`, `only` in a table; no row twice, what is excluded out."""
    ins = [Asked(group=at, concept=one) for at, pick in plain.items() for one in pick.concepts if not one.exclude]
    outs = [Asked(group=at, concept=one) for at, pick in plain.items() for one in pick.concepts if one.exclude]
    found = resolved(cdm.tables, ins)
    if outs:
        found = found.anti_join(resolved(cdm.tables, outs), ["group", "concept_id"])
    only = [(found.group == at, pick.table) for at, pick in plain.items() if pick.table is not None]
    table = ibis.cases(*only, else_=ibis.null("string")) if only else ibis.null("string")
    return found.select(pick="group", asked="concept_id", only=table)


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


def _by_combination(cdm: Cdm, picks: Mapping[int, Pick], *, once: bool = False) -> Expression:
    """Events for which the code as recorded, or the coded value, decides too.

    The distinct combinations of what decides are judged, few as they are, and joined back. Where the vocabulary does
    not know what was recorded, its text is compared with the codes.

    Args:
        once: Without `pick` and without visits: each event once, whatever asks for it.
    """
    rows = keyed(cdm)
    concepts = [concept for pick in picks.values() for concept in pick.concepts]
    keys = _keys(rows, concepts)
    occurring = rows.select(**keys).distinct()
    if once:
        occurring = occurring.filter(occurring.k_table != "visit")
    parts = []
    for at, pick in picks.items():
        inside, outside = ibis.literal(False), ibis.literal(False)
        for entry in _entries(cdm, pick):
            met = entry.met(occurring)
            inside, outside = (inside, outside | met) if entry.exclude else (inside | met, outside)
        here = ibis.literal(True) if pick.table is None else occurring.k_table == pick.table
        parts.append(occurring.filter(here & inside & ~outside).mutate(pick=ibis.literal(at, "int16")))
    found = joined(parts)
    found = found.select(*keys).distinct() if once else found
    found = found.rename({f"of_{name}": name for name in keys})
    columns = OCCURRENCE if once else ("pick", *OCCURRENCE)
    again = rows.view()
    met = [key == found[f"of_{name}"] for name, key in _keys(again, concepts).items()]
    return again.inner_join(found, met).select(*columns)


def _keys(rows: Expression, concepts: Sequence[Concept]) -> Mapping[str, Expression]:
    """What decides about an occurrence, and nothing that does not: texts that no study names are not gathered."""
    keys = {"k_table": rows.table, "k_concept": rows.k_concept}
    recorded = [one for one in concepts if one.source]
    if recorded:
        keys |= {"k_source": rows.k_source, "k_text": ibis.ifelse(_said(rows.k_text, recorded), rows.k_text, "")}
    if any(one.value is not None for one in concepts):
        keys["k_value"] = rows.k_value
    return keys


def _said(text: Expression, concepts: Sequence[Concept]) -> Expression:
    """Whether a text as recorded is one of the codes, or begins like one."""
    whole = [str(one.code) for one in concepts if one.code is not None and not one.descendants]
    starts = [str(one.code) for one in concepts if one.code is not None and one.descendants]
    met = text.isin(whole) if whole else ibis.literal(False)
    for start in starts:
        met = met | text.startswith(start)
    return met
