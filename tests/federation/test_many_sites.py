"""More than fifty sites: masks run along a drawn graph, and the graph changes when a site is taken out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wardgate.measures.logistic import fit


@pytest.mark.slow
def test_fifty_five_sites_go_on_when_one_of_them_is_named(make_consortium: Callable[..., Any]) -> None:
    persons = {f"s{place:02d}": 45 for place in range(51)} | {f"t{place}": 260 for place in range(5)}
    made = make_consortium(persons, inverted=["t4"], enrolled=False)
    run, _ = made.run()
    assert run.named == ("t4",)
    assert run.joint is not None and not run.joint_reason
    assert run.federated is not None, run.federated_reason
    parts = [made.wards[site]._bench.part("train") for site in run.sites]
    pooled = fit(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]), ridge=1.0)
    assert np.max(np.abs(run.federated.beta - pooled)) < 1e-8
    assert len(run.sites) == 55
    assert run.test is not None and "federated" in run.test.overall
