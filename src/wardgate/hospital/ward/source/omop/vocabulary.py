"""Concept sets resolved inside the query: which concept ids a study's picks stand for. Nothing here sees a row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import ibis

from wardgate.hospital.ward.source.events import Expression
from wardgate.records.concepts import Concept

ALWAYS: Mapping[int, str] = {
    8507: "Gender/M",
    8532: "Gender/F",
    8521: "Gender/O",
    8551: "Gender/U",
    9201: "Visit/IP",
    9202: "Visit/OP",
    9203: "Visit/ER",
    262: "Visit/ERIP",
}
"""Concepts that every CDM uses, known also where the vocabulary was not loaded."""

UNKNOWN = "OMOP"
"""The vocabulary of a concept id that the vocabulary tables do not know: `OMOP/196523`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One concept of one group of concepts, as a row of the query."""

    group: int
    concept: Concept


def known(tables: Mapping[str, Expression]) -> Expression:
    """Return the concepts: `concept_id`, `vocabulary`, `concept_code` and `key`, which is VOCABULARY/CODE."""
    if "concept" not in tables:
        empty = {"concept_id": "int64", "vocabulary": "string", "concept_code": "string", "key": "string"}
        return nothing(empty)
    concept = tables["concept"]
    table = concept.select("concept_id", "concept_code", vocabulary="vocabulary_id")
    return table.mutate(key=table.vocabulary + "/" + table.concept_code)


def resolved(tables: Mapping[str, Expression], asked: Sequence[Asked], *, recorded: bool = False) -> Expression:
    """Return the concept ids of groups, with all below where it was asked: `group`, `concept_id`, no row twice.

    Args:
        recorded: These are codes as recorded: what lies below is what begins like them.
    """
    concepts = known(tables)
    keys = [one for one in asked if one.concept.concept_id is None]
    parts = []
    if keys:
        rows = ({"group": o.group, "of": o.concept.vocabulary, "head": o.concept.code} | _below(o) for o in keys)
        named = _rows(rows)
        met = concepts.vocabulary == named.of
        if recorded:
            below = named.below & concepts.concept_code.startswith(named["head"])
            near = concepts.inner_join(named, [met, (concepts.concept_code == named["head"]) | below])
        else:
            near = concepts.inner_join(named, [met, concepts.concept_code == named["head"]])
        parts.append(near.select("group", "concept_id", "below"))
    ids = [(one, concept_id) for one in asked for concept_id in _ids(one.concept)]
    if ids:
        parts.append(_rows({"group": o.group, "concept_id": concept_id} | _below(o) for o, concept_id in ids))
    own = joined(parts)
    found = [own.select("group", "concept_id")]
    if any(one.concept.descendants for one in asked):
        if not recorded:
            found.append(_lower(tables, own))
        elif any(one.concept.descendants and one.concept.concept_id is not None for one in asked):
            found.append(_prefixed(concepts, own))
    return joined(found).distinct()


def code(concept: Concept) -> str:
    """Return how a concept is written: VOCABULARY/CODE, or OMOP/ID."""
    if concept.concept_id is not None:
        return f"{UNKNOWN}/{concept.concept_id}"
    return f"{concept.vocabulary}/{concept.code}"


def valued(tables: Mapping[str, Expression], value: str) -> Expression:
    """Return the concept ids of a coded value VOCABULARY/CODE, as `concept_id`."""
    vocabulary, _, text = value.partition("/")
    if vocabulary == UNKNOWN and text.isdecimal():
        concept = Concept(concept_id=int(text))
    else:
        concept = Concept(vocabulary=vocabulary, code=text)
    return resolved(tables, [Asked(group=0, concept=concept)]).select("concept_id")


def spelled(ids: Expression, key: Expression) -> Expression:
    """Return how concept ids are written, of their column and of the key that the vocabulary joined to them."""
    always = [(ids == concept_id, text) for concept_id, text in ALWAYS.items()]
    return ibis.coalesce(
        key,
        ibis.cases(*always, else_=ibis.null("string")),
        ibis.ifelse(ids != 0, f"{UNKNOWN}/" + ids.cast("string"), ibis.null("string")),
    )


def nothing(schema: Mapping[str, str]) -> Expression:
    """Return a table without rows."""
    one = ibis.literal(1).name("one").as_table()
    return one.select(**{name: ibis.null(kind) for name, kind in schema.items()}).filter(ibis.literal(False))


def joined(parts: Sequence[Expression]) -> Expression:
    """Return tables of the same columns one below the other; halved again and again, so that SQL stays shallow."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return ibis.union(joined(parts[:middle]), joined(parts[middle:]), distinct=False)


def _ids(concept: Concept) -> list[int]:
    if concept.concept_id is not None:
        return [concept.concept_id]
    return [concept_id for concept_id, text in ALWAYS.items() if text == code(concept)]


def _below(one: Asked) -> dict[str, object]:
    return {"below": one.concept.descendants}


def _lower(tables: Mapping[str, Expression], own: Expression) -> Expression:
    """What lies below by `concept_ancestor`."""
    if "concept_ancestor" not in tables:
        return nothing({"group": "int16", "concept_id": "int64"})
    upper, ancestor = own.filter(own.below), tables["concept_ancestor"]
    found = ancestor.inner_join(upper, ancestor.ancestor_concept_id == upper.concept_id)
    return found.select("group", concept_id=found.descendant_concept_id)


def _prefixed(concepts: Expression, own: Expression) -> Expression:
    """What begins like a code, in its vocabulary."""
    upper = own.filter(own.below).select("group", head_id="concept_id")
    heads = concepts.inner_join(upper, concepts.concept_id == upper.head_id)
    heads = heads.select("group", start="concept_code", of="vocabulary")
    met = (concepts.vocabulary == heads.of) & concepts.concept_code.startswith(heads["start"])
    return concepts.inner_join(heads, met).select("group", "concept_id")


def _rows(rows: Iterable[Mapping[str, object]]) -> Expression:
    """Return literal rows."""
    kinds = {"group": "int16", "concept_id": "int64", "of": "string", "head": "string", "below": "boolean"}
    parts = []
    for row in rows:
        one = ibis.literal(1).name("one").as_table()
        parts.append(one.select(**{name: ibis.literal(value).cast(kinds[name]) for name, value in row.items()}))
    return joined(parts)
