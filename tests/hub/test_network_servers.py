"""The server's rules against their formulas, and what no rule may move."""

import numpy as np
import pytest

from wardgate.hub.pooling.networks.algorithms import ALGORITHMS, Algorithm, algorithm_of
from wardgate.hub.pooling.networks.servers import Adaptive, Average, common_control, moved
from wardgate.records.errors import Invalid
from wardgate.records.network import Activation, Architecture, BatchNorm, GroupNorm, Linear

RNG = np.random.default_rng(5)
CHANGES = RNG.normal(size=(4, 6))
BARE = Architecture(inputs=2, layers=(Linear(units=2), Activation(how="relu"), Linear(units=1)))


def run(server: Average | Adaptive) -> np.ndarray:  # type: ignore[type-arg]
    """Four rounds; returns each step."""
    state, steps = server.begin(6), []
    for rounds, change in enumerate(CHANGES):
        step, state = server.step(change, state=state, rounds=rounds)
        steps.append(step)
    return np.array(steps)


def test_averaging_takes_the_mean_change_and_momentum_lets_it_go_on() -> None:
    assert np.array_equal(run(Average()), CHANGES)
    assert np.allclose(run(Average(rate=0.5)), CHANGES / 2)
    speed, wanted = np.zeros(6), []
    for change in CHANGES:
        speed = 0.9 * speed + change
        wanted.append(0.3 * speed)
    assert np.allclose(run(Average(rate=0.3, momentum=0.9)), wanted)


@pytest.mark.parametrize("rule", ["adam", "yogi"])
def test_adaptive_steps_are_those_of_reddi_and_others(rule: str) -> None:
    server = Adaptive(rule=rule, rate=0.1, first=0.9, second=0.99, floor=1e-3)  # type: ignore[arg-type]
    mean, squares, wanted = np.zeros(6), np.full(6, 1e-6), []
    for change in CHANGES:
        mean = 0.9 * mean + 0.1 * change
        if rule == "adam":
            squares = 0.99 * squares + 0.01 * change**2
        else:
            squares = squares - 0.01 * change**2 * np.sign(squares - change**2)
        wanted.append(0.1 * mean / (np.sqrt(squares) + 1e-3))
    assert np.allclose(run(server), wanted)


def test_corrected_adam_is_kingmas_and_does_not_see_constants() -> None:
    server = Adaptive(rate=0.1, second=0.999, floor=1e-12, corrected=True)
    first, _ = server.step(CHANGES[0], state=server.begin(6), rounds=0)
    assert np.allclose(first, 0.1 * np.sign(CHANGES[0]))
    scaled, _ = server.step(1000 * CHANGES[0], state=server.begin(6), rounds=0)
    assert np.allclose(first, scaled)


def test_what_norms_observe_is_averaged_whatever_the_rule() -> None:
    learnt = np.array([True, True, True, True, False, False])
    server = Average(rate=3.0)
    after, _ = moved(server, np.zeros(6), CHANGES[0], learnt=learnt, state=server.begin(6), rounds=0)
    assert np.allclose(after, np.where(learnt, 3 * CHANGES[0], CHANGES[0]))


def test_the_common_control_variate_moves_by_the_share_of_persons_that_trained() -> None:
    assert np.allclose(common_control(np.ones(6), CHANGES[0], share=0.25), 1 + 0.25 * CHANGES[0])
    assert np.allclose(common_control(np.ones(6), CHANGES[0], share=7.0), 1 + CHANGES[0])


def test_settings_out_of_range_are_refused() -> None:
    for wrong in (
        lambda: Average(rate=0.0),
        lambda: Average(momentum=1.0),
        lambda: Adaptive(rule="adagrad"),  # type: ignore[arg-type]
        lambda: Adaptive(floor=0.0),
        lambda: Algorithm(name="x", smallest_block=0),
        lambda: Algorithm(name="x", cyclic=True, work=ALGORITHMS["scaffold"].work),
        lambda: algorithm_of("fedsgd"),
        lambda: algorithm_of("fedavg", pace=1),
        lambda: algorithm_of("fedavg", rate=-1.0),
    ):
        with pytest.raises(Invalid):
            wrong()


def test_every_setting_is_in_an_algorithms_digest() -> None:
    digests = [one.sha256 for one in ALGORITHMS.values()]
    changed = [algorithm_of("fedavg", **work).sha256 for work in ({"rate": 0.2}, {"steps": 21}, {"longest": 9.0})]
    servers = [
        Algorithm(name="fedavg", server=server).sha256
        for server in (Average(momentum=0.5), Adaptive(), Adaptive(rule="yogi"), Adaptive(corrected=True))
    ]
    assert len({*digests, *changed, *servers}) == len(digests) + len(changed) + len(servers)


def test_norms_stay_only_where_there_are_norms() -> None:
    with pytest.raises(Invalid, match="it would be FedAvg"):
        ALGORITHMS["fedbn"].check(BARE)
    for norm in (BatchNorm(), GroupNorm()):
        ALGORITHMS["fedbn"].check(Architecture(inputs=2, layers=(Linear(units=2), norm, Linear(units=1))))


def test_blocks_are_of_three_drawn_by_the_coin_and_the_same_for_everybody() -> None:
    sites = tuple(f"s{place:02d}" for place in range(11))
    cyclic = ALGORITHMS["cyclic"]
    turns = cyclic.turns(sites, coin="a")
    assert sorted(len(turn) for turn in turns) == [3, 4, 4]
    assert cyclic.turns(tuple(reversed(sites)), coin="a") == turns
    assert cyclic.turns(sites, coin="b") != turns
    assert ALGORITHMS["fedavg"].turns(sites, coin="a") == (sites,)
