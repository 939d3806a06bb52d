"""A small study with a network, and corpora of it in which a straight line is enough, or of no use."""

import numpy as np
import polars as pl

from wardgate.measures.layers.mlp import mlp
from wardgate.records.study import Study


def study(*, epsilon_total: float = 3.0) -> Study:
    """Three numbers, four hospitals, one small network."""
    names = ("first", "second", "third")
    plain = {
        "schema": "wardgate/study/1",
        "id": "made",
        "version": 1,
        "title": "t",
        "question": "q",
        "cohort": {"entry": "e"},
        "index_date": "d",
        "label": {"name": "dead", "meaning": "m", "window_days": [0, 1]},
        "features": [
            {"name": name, "type": "number", "unit": "1", "range": [-1, 1], "missing": "refused"} for name in names
        ],
        "acceptance": {"auroc_min": 0.5, "worst_site_auroc_min": 0.5, "oe": [0.5, 2.0], "slope": [0.4, 3.0]},
        "analyses": ["glm", "model_scores", "network_update", "network_gradient"],
        "networks": {"mlp": mlp(3, (16,), norm="group", seed=1).plain()},
        "budget": {"epsilon_total": epsilon_total},
        "sites": ["a", "b", "c", "d"],
    }
    return Study.model_validate(plain)


def corpora(*, rows: int, crossed: bool, count: int = 4, seed: int = 0) -> list[pl.DataFrame]:
    """Corpora of `rows` each. Crossed: an event where the first two numbers have one sign; no line tells that."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        x = rng.uniform(-1, 1, (rows, 3))
        logit = 6.0 * np.sign(x[:, 0] * x[:, 1]) * 0.5 if crossed else 3.0 * x[:, 0] - 2.0 * x[:, 1]
        y = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
        found.append(pl.DataFrame({"first": x[:, 0], "second": x[:, 1], "third": x[:, 2], "label": y}))
    return found
