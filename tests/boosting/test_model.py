"""A fitted ensemble in a file: the same predictions again, and nothing else is read as one."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.hub.pooling.boosting import boosting
from wardgate.measures.boosting import Growth
from wardgate.models.boosting import BoostingModel
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

Make = Callable[..., pl.DataFrame]
MakeWards = Callable[..., Any]


@pytest.fixture(scope="module")
def model(study: Study, make_persons: Make, make_wards: MakeWards) -> BoostingModel:
    table = make_persons(500)
    wards = make_wards(study, [table[:100], table[100:300], table[300:]])
    fit = wards.drive(boosting(study=study, sites=("s0", "s1", "s2"), growth=Growth(trees=5, min_persons=5)))
    return BoostingModel.of(fit.bins, fit.trees)


def test_a_model_comes_back_from_its_bytes_with_the_same_predictions(model: BoostingModel, make_persons: Make) -> None:
    table = make_persons(100, seed=7)
    again = BoostingModel.from_bytes(model.to_bytes())
    assert again == model and again.to_bytes() == model.to_bytes()
    chance = again.predict_proba(table)
    assert chance.shape == (100, 2) and np.allclose(chance.sum(axis=1), 1.0)
    assert np.array_equal(chance, model.predict_proba(table))
    assert np.array_equal(model.predict(table), (chance[:, 1] > 0.5).astype(int))
    assert model.feature_names == ("age", "marker", "ward", "frail", "sex")


def test_a_model_names_the_column_that_a_table_lacks(model: BoostingModel, make_persons: Make) -> None:
    with pytest.raises(Invalid, match="'ward'"):
        model.predict_proba(make_persons(3).drop("ward"))
    assert model.predict_proba(make_persons(3).head(0)).shape == (0, 2)


def test_what_is_no_model_is_not_read(model: BoostingModel) -> None:
    plain = model.plain()
    tree = plain["trees"][0]

    def tree_with(**changed: Any) -> dict[str, Any]:
        return {**plain, "trees": [{**tree, **changed}]}

    museum: dict[str, Any] = {
        "another schema": {**plain, "schema": "wardgate/model/glm/1"},
        "a field too many": {**plain, "pickle": "gASV"},
        "no trees": {key: value for key, value in plain.items() if key != "trees"},
        "another depth": {**plain, "depth": 4},
        "depth below 0": {**plain, "depth": -1},
        "depth beyond reason": {**plain, "depth": 60, "trees": []},
        "base is NaN": {**plain, "base": "nan"},
        "a leaf is infinite": tree_with(value=["inf", *tree["value"][1:]]),
        "a leaf short": tree_with(value=tree["value"][1:]),
        "a split short": tree_with(place=tree["place"][1:]),
        "an unknown feature": tree_with(place=[99, *tree["place"][1:]]),
        "a cut beyond the bins": tree_with(place=[0, *tree["place"][1:]], cut=[4000, *tree["cut"][1:]]),
        "a cut beyond integers": tree_with(cut=[2**70, *tree["cut"][1:]]),
        "edges out of order": {**plain, "edges": [plain["edges"][0][::-1], *plain["edges"][1:]]},
        "edges of another number": {**plain, "edges": plain["edges"][1:]},
        "edges of a category": {**plain, "edges": [*plain["edges"][:2], ["1"], *plain["edges"][3:]]},
        "a text": "model",
        "a list": [plain],
    }
    for name, broken in museum.items():
        with pytest.raises(Invalid):
            BoostingModel.from_bytes(json.dumps(broken).encode())
            pytest.fail(name)
    for data in (b"", b"{", model.to_bytes()[:-3], b"\x80\x04\x95", b"\xff\xfe"):
        with pytest.raises(Invalid):
            BoostingModel.from_bytes(data)
