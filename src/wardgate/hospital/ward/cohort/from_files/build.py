"""Study + mapping + one table in files -> cohort: who is in, and what is known of them."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import polars as pl

from wardgate.hospital.ward.cohort.cohort import Cohort, Step
from wardgate.hospital.ward.cohort.findings import Counts, Quality, judge, wrong_unit
from wardgate.hospital.ward.cohort.from_files import expressions
from wardgate.hospital.ward.source.files import Source, opened
from wardgate.hospital.ward.source.texts import text_in
from wardgate.records.bands import shown
from wardgate.records.errors import Invalid
from wardgate.records.mapping import Mapping, parse_for
from wardgate.records.study import Study

MAPPING = "mapping.yaml"


def load_files(folder: Path, study: Study, *, mapping: Mapping | None = None, memory_limit_mb: int = 2_000) -> Cohort:
    """Read one hospital's folder and build its cohort.

    Args:
        folder: Holds the data files and, unless `mapping` is given, `mapping.yaml`.
        memory_limit_mb: What the reading may use; the files are streamed.

    Raises:
        Invalid: the mapping or the files cannot be used.
    """
    if mapping is None:
        mapping = read_mapping(folder / MAPPING, study)
    with opened(
        folder,
        mapping.files,
        wanted=expressions.wanted(study, mapping),
        encoding=mapping.encoding,
        delimiter=mapping.delimiter,
        memory_limit_mb=memory_limit_mb,
    ) as source:
        return build(source, study, mapping)


def read_mapping(path: Path, study: Study) -> Mapping:
    """Read a mapping file and check that it serves the study.

    Raises:
        Invalid: absent, not UTF-8, or wrong; the message has one line for each finding.
    """
    if not path.is_file():
        raise Invalid(f"{path.name} is missing in {path.parent.name}; it says where each field of the study is found")
    return _parsed(text_in(path), study.to_bytes(), path.name)


@lru_cache(maxsize=64)
def _parsed(text: str, study: bytes, name: str) -> Mapping:
    """Hospitals of one divided data set share one mapping; it is read once."""
    return parse_for(text, Study.model_validate_json(study), name=name)


def build(source: Source, study: Study, mapping: Mapping) -> Cohort:
    """Build the cohort of one hospital, in one pass over its files that keeps the rows of the cohort alone.

    Raises:
        Invalid: a person has several rows where the study expects one.
    """
    compiled = expressions.query(study, mapping)
    tally, kept, persons = _read(source, study, compiled.sql)
    if study.cohort.entries == "single" and mapping.person.column is not None:
        several = persons.len() - persons.n_unique()
        if several:
            raise Invalid(
                f"{source.name}: {shown(several)} rows repeat a person; the study expects one row a person. Export one "
                "row a person, or let the study keep first entries ('entries: first')"
            )
    rows = kept.sort("person")
    table = rows.select(
        "person",
        *(pl.col(f"f{index}").alias(feature.name) for index, feature in enumerate(study.features)),
        "label",
    )
    flow = tuple(_flow(tally, study))
    quality = tuple(_quality(tally, study, mapping, compiled))
    hints = {one.feature: _hint(source, study, mapping, one.feature) for one in quality if one.mostly_out_of_range}
    counts = Counts(
        rows=tally["rows"],
        without_person=tally["rows"] - tally["persons"],
        eligible=flow[len(study.cohort.requires)].persons,
        whole=flow[-2].persons,
        persons=table.height,
        events=int(table["label"].sum()),
    )
    return Cohort(
        table=table,
        groups=rows.select(pl.coalesce("link", "person").alias("group"))["group"],
        flow=flow,
        quality=quality,
        findings=tuple(judge(study, counts, quality, hints, flow=[step.persons for step in flow])),
    )


def _read(source: Source, study: Study, sql: str) -> tuple[Counter[str], pl.DataFrame, pl.Series]:
    """Return the tally, the rows of the cohort, and a 64-bit hash of every person in the source."""
    eligible = pl.all_horizontal(pl.lit(True), *(pl.col(f"r{i}") for i in range(len(study.cohort.requires))))
    refused = [index for index, feature in enumerate(study.features) if feature.missing == "refused"]
    whole = pl.all_horizontal(pl.lit(True), *(pl.col(f"f{index}").is_not_null() for index in refused))
    steps = [pl.col(f"r{index}") for index in range(len(study.cohort.requires))]
    steps += [whole] if refused else []
    steps.append(pl.col("label").is_not_null())
    states = (expressions.PRESENT, expressions.OUT_OF_RANGE, expressions.UNREADABLE)
    cells = [
        (eligible & (pl.col(f"s{index}") == state)).sum().alias(f"q{index}_{state}")
        for index in range(len(study.features))
        for state in states
    ]
    columns = [
        pl.col("person", "link").cast(pl.String),
        pl.col("label").cast(pl.Int8),
        *(
            pl.col(f"f{index}").cast(pl.String if feature.type == "category" else pl.Float64)
            for index, feature in enumerate(study.features)
        ),
    ]
    empty = {"person": pl.String, "link": pl.String, "label": pl.Int8} | {
        f"f{index}": pl.String if feature.type == "category" else pl.Float64
        for index, feature in enumerate(study.features)
    }
    tally: Counter[str] = Counter()
    kept = [pl.DataFrame(schema=empty)]
    persons = [pl.Series(dtype=pl.UInt64)]
    for batch in source.batches(sql):
        tally["rows"] += batch.height
        named = batch.filter(pl.col("person").is_not_null())
        tally["persons"] += named.height
        persons.append(named["person"].hash())
        tally.update(named.select(cells).row(0, named=True))
        for index, step in enumerate(steps):
            named = named.filter(step)
            tally[f"step{index}"] += named.height
        kept.append(named.select(columns))
    return tally, pl.concat(kept), pl.concat(persons)


def _flow(counted: Counter[str], study: Study) -> Iterator[Step]:
    first = " (first entry of each)" if study.cohort.entries == "first" else ""
    yield Step(step=f"persons in the source{first}", persons=counted["persons"])
    names = [requirement.meaning or f"{requirement.field} as required" for requirement in study.cohort.requires]
    if any(feature.missing == "refused" for feature in study.features):
        names.append("everything known that may not be missing")
    for index, name in enumerate([*names, "outcome known"]):
        yield Step(step=name, persons=counted[f"step{index}"])


def _quality(counted: Counter[str], study: Study, mapping: Mapping, compiled: expressions.Query) -> Iterator[Quality]:
    requires = len(study.cohort.requires)
    eligible = counted[f"step{requires - 1}"] if requires else counted["persons"]
    for index, feature in enumerate(study.features):
        unit = compiled.units.get(feature.name)
        numeric = feature.name in compiled.units
        yield Quality(
            feature=feature.name,
            total=eligible,
            present=counted[f"q{index}_{expressions.PRESENT}"],
            out_of_range=counted[f"q{index}_{expressions.OUT_OF_RANGE}"],
            unreadable=counted[f"q{index}_{expressions.UNREADABLE}"],
            unit_found=mapping.fields[feature.name].unit,
            converted=unit is not None and unit.changes,
            convertible=unit is not None or not numeric,
        )


def _hint(source: Source, study: Study, mapping: Mapping, name: str) -> str:
    feature = study.feature(name)
    tried = wrong_unit(feature)
    if not tried:
        return ""
    linears = [linear for _, linear in tried]
    found = next(source.batches(expressions.would_fit(study, mapping, feature, linears))).row(0)
    return next(
        (
            f"; values read as {unit} (times {linear.factor:.4g}"
            f"{f' plus {linear.offset:.4g}' if linear.offset else ''}) would fit"
            for (unit, linear), fits in zip(tried, found[1:], strict=True)
            if fits >= 0.95 * found[0]
        ),
        "",
    )
