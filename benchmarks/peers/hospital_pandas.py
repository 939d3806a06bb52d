"""The cohort and features of benchmarks/hospital_data.py as a data scientist would write them in pandas.

python hospital_pandas.py CDM SPEC.json OUT.parquet -> one JSON line: seconds, processor seconds, peak memory, rows

Reads whole columns of each table, as pandas does; filters, joins, groups. SPEC is what hospital_data.py writes.
"""

import json
import resource
import sys
import time
from pathlib import Path

import pandas as pd

cdm, spec_file, out = sys.argv[1:4]
began = time.perf_counter()
spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))


def read(table: str, *columns: str) -> pd.DataFrame:
    return pd.read_parquet(f"{cdm}/{table}", columns=list(columns))


below = read("concept_ancestor", "ancestor_concept_id", "descendant_concept_id")
person = read("person", "person_id", "gender_concept_id", "birth_datetime")
period = read("observation_period", "person_id", "observation_period_start_date", "observation_period_end_date")
death = read("death", "person_id", "death_datetime")
columns = ("person_id", "visit_concept_id", "visit_start_datetime", "visit_end_datetime")
visit = read("visit_occurrence", *columns)
procedure = read("procedure_occurrence", "person_id", "procedure_concept_id", "procedure_datetime")

# entries
entry = visit[visit.visit_concept_id == 9201].merge(person, on="person_id").merge(period, on="person_id")
entry = entry.merge(death, on="person_id", how="left").rename(columns={"visit_start_datetime": "start"})
entry["index"] = entry.start + pd.Timedelta(days=1)
alive = entry.death_datetime.isna() | (entry.death_datetime > entry["index"])
entry = entry[alive & (entry.visit_end_datetime > entry["index"])]
birth, index = entry.birth_datetime.dt, entry["index"].dt
today, born = index.month * 100 + index.day, birth.month * 100 + birth.day
entry["age"] = index.year - birth.year - (today < born)
entry = entry[entry.age.between(18, 120)]
since = pd.to_datetime(entry.observation_period_start_date)
entry = entry[since <= entry.start - pd.Timedelta(days=180)]
dialysis = procedure[procedure.procedure_concept_id == 4120120]
found = entry[["person_id", "start"]].merge(dialysis, on="person_id")
late = found.start - found.procedure_datetime
found = found[(late >= pd.Timedelta(0)) & (late <= pd.Timedelta(days=365))][["person_id", "start"]].drop_duplicates()
entry = entry.merge(found.assign(dialysis=True), on=["person_id", "start"], how="left")
entry = entry[entry.dialysis.isna()].sort_values(["person_id", "start"]).drop_duplicates("person_id")

# outcome
horizon = entry["index"] + pd.Timedelta(days=30)
entry["label"] = (entry.death_datetime <= horizon).astype("int8")
until = pd.to_datetime(entry.observation_period_end_date) + pd.Timedelta(days=1) - pd.Timedelta(seconds=1)
if spec["follow_up"] == "required":
    entry = entry[(entry.label == 1) | (until >= horizon)]
entry = entry.set_index("person_id")
table = entry[["label", "age", "start"]].copy()
table["sex"] = entry.gender_concept_id.map({8532: "female", 8507: "male"})

# numbers of the first day
if spec["numbers"]:
    names = ("person_id", "measurement_concept_id", "measurement_datetime", "value_as_number", "unit_concept_id")
    measurement = read("measurement", *names)
    measurement = measurement[measurement.person_id.isin(entry.index)]
    measurement = measurement.join(entry[["index"]], on="person_id")
    hours = (measurement.measurement_datetime - measurement["index"]).dt.total_seconds() / 3600
    measurement = measurement.assign(hours=hours)[(hours >= -24) & (hours <= 0)].sort_values("measurement_datetime")
    for measure in spec["numbers"]:
        own = measurement[measurement.measurement_concept_id == measure["concept"]]
        own = own[own.unit_concept_id == measure["unit"]]
        own = own[own.value_as_number.between(measure["low"], measure["high"])]
        by = own.groupby("person_id").value_as_number
        for name, how in measure["features"].items():
            if how == "slope":
                pairs = own.assign(xy=own.hours * own.value_as_number, xx=own.hours**2).groupby("person_id")
                n, x, y = pairs.size(), pairs.hours.sum(), pairs.value_as_number.sum()
                xy, xx = pairs.xy.sum(), pairs.xx.sum()
                spread = n * xx - x * x
                slope = ((n * xy - x * y) / spread).where(spread > 1e-9)
                low, high = measure["slope_range"]
                table[name] = slope.where(slope.between(low, high))
            else:
                table[name] = getattr(by, how)()

# events of the year before
year = pd.Timedelta(hours=8760)
for kind in spec["years"]:
    events = read(kind["table"], "person_id", kind["concept_column"], kind["time_column"])
    events.columns = ["person_id", "concept", "time"]
    events = events.join(entry[["index"]], on="person_id", how="inner")
    events = events[(events.time <= events["index"]) & (events.time >= events["index"] - year)]
    for name, (ancestor, how) in kind["features"].items():
        wanted = below[below.ancestor_concept_id == ancestor].descendant_concept_id
        counts = events[events.concept.isin(wanted)].groupby("person_id").size().reindex(table.index, fill_value=0)
        table[name] = counts if how == "count" else (counts > 0).astype("float64")

table.reset_index().to_parquet(out)
used = resource.getrusage(resource.RUSAGE_SELF)
peak, processor = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
print(json.dumps({"seconds": time.perf_counter() - began, "peak_mib": peak, "cpu": processor, "rows": len(table)}))
