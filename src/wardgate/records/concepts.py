"""Concept sets: which codes mean one clinical idea, in which vocabulary, with or without what lies below them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardgate.records.record import Name, Record

TableName = Literal["condition", "drug", "procedure", "measurement", "observation", "device", "visit", "death"]
"""Where an event was recorded, as OMOP divides them."""

DEATH = "death"
"""The name of a concept set that every source has and no study defines: death, whatever its cause."""


class Concept(Record):
    """One entry of a concept set.

    A code is looked up among standard concepts, or with `source: true` among the codes as they were recorded. A source
    that knows no vocabulary tables (MEDS, FHIR) compares `vocabulary/code` with the codes of its events.

    Attributes:
        vocabulary: As OMOP spells it: SNOMED, LOINC, RxNorm, ATC, ICD10, ICD10CM, Gender, Visit ...
        code: The code inside the vocabulary, e.g. `2160-0`.
        concept_id: An OMOP concept id instead of vocabulary and code.
        source: Compare with the code as recorded instead of the standard concept it was mapped to.
        descendants: With everything below: by `concept_ancestor` for a standard concept; for a source code, all codes
            that begin with it (`E11` covers `E11.9`).
        exclude: Take out of the set what this entry covers.
        value: Only events whose value is this code, `VOCABULARY/CODE`.
    """

    vocabulary: str | None = Field(default=None, max_length=60)
    code: str | None = Field(default=None, min_length=1, max_length=200)
    concept_id: int | None = Field(default=None, ge=1)
    source: bool = False
    descendants: bool = False
    exclude: bool = False
    value: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        named = self.vocabulary is not None and self.code is not None
        if named == (self.concept_id is not None) or (self.vocabulary is None) != (self.code is None):
            raise ValueError("a concept needs either 'vocabulary' and 'code', or 'concept_id'")
        if self.value is not None and "/" not in self.value:
            raise ValueError(f"expected value as VOCABULARY/CODE, found '{self.value}'")
        return self


class ConceptSet(Record):
    """A named clinical idea as codes.

    Attributes:
        meaning: In words.
        concepts: What belongs to it; at least one entry that is not excluded.
        source: Where the set comes from, e.g. a phenotype library and its version.
    """

    meaning: str = ""
    concepts: tuple[Concept, ...] = Field(min_length=1)
    source: str = ""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(concept.exclude for concept in self.concepts):
            raise ValueError("a concept set needs at least one concept that is not excluded")
        return self


ConceptSets = dict[Name, ConceptSet]
