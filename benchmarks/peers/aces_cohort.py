"""The cohort part of benchmarks/hospital_data.py by ACES; run by the interpreter that WARDGATE_ACES names.

python aces_cohort.py MEDS TASK.yaml OUT.parquet -> one JSON line: seconds, processor seconds, peak memory, rows

Needs es-aces (0.7.3). Shards run one after the other, as its command line does them; of a person's entries, which
ACES gives all, the first is kept here.
"""

import json
import logging
import resource
import sys
import time
from pathlib import Path

import polars as pl
from aces import config, predicates, query
from omegaconf import DictConfig

logging.disable(logging.CRITICAL)
meds, task, out = sys.argv[1:4]
began = time.perf_counter()
parts = []
for shard in sorted((Path(meds) / "data").rglob("*.parquet")):
    wanted = config.TaskExtractorConfig.load(config_path=task)  # a query changes it, so each has its own
    data = DictConfig({"path": str(shard), "standard": "meds", "ts_format": None})
    found = query.query(cfg=wanted, predicates_df=predicates.get_predicates_df(cfg=wanted, data_config=data))
    parts.append(found.select("subject_id", "index_timestamp", "label"))
rows = pl.concat(parts).sort("subject_id", "index_timestamp").unique("subject_id", keep="first", maintain_order=True)
rows.write_parquet(out)
used = resource.getrusage(resource.RUSAGE_SELF)
peak, processor = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
print(json.dumps({"seconds": time.perf_counter() - began, "peak_mib": peak, "cpu": processor, "rows": rows.height}))
