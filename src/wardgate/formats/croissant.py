"""The card of a corpus for machines and catalogues: Croissant 1.1 with the RAI extension, written by ourselves.

The reading library of the standard brings a network client and an RDF store; a hospital's node needs neither to write
one JSON file. Tests read what is written here with that library.

References: Croissant format specification 1.1, http://mlcommons.org/croissant/1.1; Croissant RAI 1.0; Akhtar et al.
2024, arXiv:2403.19546.
"""

from dataclasses import dataclass
from typing import Any

from wardgate.records.claim import Claim
from wardgate.records.corpus_file import LABEL_TEXT
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

CONFORMS = "http://mlcommons.org/croissant/1.1"
RAI = "http://mlcommons.org/croissant/RAI/1.0"
NO_REIDENTIFICATION = "DUO:0000042 with the obligation not to try to identify anybody"
"""General research use, of the Data Use Ontology; whoever publishes a corpus may narrow it."""

_KINDS = {"number": "sc:Float", "integer": "sc:Integer", "boolean": "sc:Boolean", "category": "sc:Text"}
_ENCODINGS = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
    "usageInfo": "sc:usageInfo",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One file of a corpus.

    Attributes:
        name: File name.
        form: `csv` or `parquet`.
        sha256: Of its bytes.
        size: In bytes.
        rows: How many.
    """

    name: str
    form: str
    sha256: str
    size: int
    rows: int


def card(
    exported: Exported,
    dictionary: Dictionary,
    *,
    claim: Claim,
    generator: str,
    judged: str,
    on: str,
    licence: str | None = None,
) -> dict[str, Any]:
    """Return the card as JSON-ready data. It names no hospital and nothing of one person.

    Args:
        generator: Name of what made the corpus.
        judged: What the gate said, in words; say so where it was not asked.
        on: Day of the export, as an ISO date.
        licence: Address or name; absent, the card says that none was given.

    Raises:
        Invalid: an unknown form.
    """
    if exported.form not in _ENCODINGS:
        raise Invalid(f"a card is written for {' and '.join(sorted(_ENCODINGS))}, found '{exported.form}'")
    special = [(name, "sc:Text", "Whose row it is; nobody real.") for name in [dictionary.person] if name]
    special += [(name, "sc:Float", "Hours since the index date.") for name in [dictionary.time] if name]
    fields = [_field(exported, name, kind, words) for name, kind, words in special]
    fields += [_field(exported, one.name, _KINDS[one.type], _words(one)) for one in dictionary.features]
    if dictionary.label is not None:
        fields.append(_field(exported, LABEL, "sc:Integer", f"Outcome '{dictionary.label}', 0 or 1."))
    fields.append(_field(exported, "synthetic", "sc:Text", LABEL_TEXT))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [CONFORMS, RAI],
        "name": exported.name.partition(".")[0],
        "description": f"{LABEL_TEXT}. {exported.rows} rows made by the generator '{generator}'.",
        "citeAs": "No publication; cite the study that released it.",
        "license": licence or "none given; ask who released it",
        "url": f"urn:sha256:{exported.sha256}",
        "version": "1.0.0",
        "datePublished": on,
        "isLiveDataset": False,
        "usageInfo": NO_REIDENTIFICATION,
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "name": f"synthesis by '{generator}'",
            "description": _protection(claim),
        },
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": exported.name,
                "name": exported.name,
                "contentUrl": exported.name,
                "encodingFormat": _ENCODINGS[exported.form],
                "contentSize": f"{exported.size} B",
                "sha256": exported.sha256,
            }
        ],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "persons", "name": "persons", "field": fields}],
        "rai:dataCollection": "Drawn from a statistical model of real patients inside one hospital or several.",
        "rai:dataCollectionType": "Synthetic",
        "rai:dataBiases": "Biases of the patients behind the model persist; rare groups and relations are weaker.",
        "rai:dataLimitations": "For developing models, which are then tested on real patients; no clinical conclusion.",
        "rai:dataUseCases": "Training and rehearsal of models, teaching, software tests.",
        "rai:personalSensitiveInformation": f"No real patient. {_protection(claim)} {judged}",
        "rai:dataReleaseMaintenancePlan": "A new version replaces this one when the model behind it is fitted again.",
    }


def _field(exported: Exported, name: str, kind: str, words: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"persons/{name}",
        "name": name,
        "description": words,
        "dataType": kind,
        "source": {"fileObject": {"@id": exported.name}, "extract": {"column": name}},
    }


def _words(feature: Feature) -> str:
    parts = [feature.meaning or feature.name]
    if feature.unit is not None and feature.range is not None:
        parts.append(f"in {feature.unit}, from {feature.range[0]:g} to {feature.range[1]:g}")
    if feature.values:
        parts.append(f"one of {len(feature.values)} categories")
    parts += [f"{terminology} {code}" for terminology, code in sorted(feature.codes.items())]
    if feature.missing == "allowed":
        parts.append("may be missing")
    return "; ".join(parts)


def _protection(claim: Claim) -> str:
    if claim.kind == "dp":
        return f"Differentially private for each person: epsilon {claim.epsilon:g} at delta {claim.delta:g}."
    return "Without a formal guarantee; protected by the gate's attacks alone."
