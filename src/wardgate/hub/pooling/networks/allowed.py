"""What hospitals would refuse, said before anybody is asked: a refused sum is spent all the same."""

from collections.abc import Callable

from wardgate.hub.pooling.networks.judging import FEWEST_BINS, bins_for, numbers
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Least = Callable[[tuple[str, ...], SplitName], int]
"""How many persons of a split some sites hold at least, by the bands that they signed."""


def check_exact(
    study: Study, *, entries: int, turns: tuple[tuple[str, ...], ...], rounds: int, least: Least | None
) -> None:
    """Check that exact sums of so many numbers may be asked so often.

    Args:
        entries: Numbers of one sum.
        turns: Sites of each sum of a round.
        rounds: Still to go.
        least: None where no hospital would refuse: over tables in the open.

    Raises:
        Invalid: the policy has no exact sums, too few of them, or too few persons for their length.
    """
    if least is None:
        return
    if study.gate.dp.exact_sums == "deny":
        raise Invalid("the study's policy denies exact sums; train with noise: give an epsilon")
    if rounds > study.gate.dp.exact_sum_ration:
        raise Invalid(
            f"{rounds} rounds are as many exact sums on training persons, and the policy grants"
            f" {study.gate.dp.exact_sum_ration} a split; ask for fewer rounds, or lock a study with a larger"
            " gate.dp.exact_sum_ration"
        )
    ratio = study.gate.small_cells.max_numbers_per_person
    for turn in turns:
        persons = least(turn, "train")
        if entries > persons * ratio:
            raise Invalid(
                f"a round is an exact sum of {entries:,} numbers, for which the policy asks {entries / ratio:,.0f}"
                f" training persons, and these {len(turn)} hospitals hold at least {persons:,}; lock a study with a"
                f" smaller network, or with gate.small_cells.max_numbers_per_person of {entries / max(persons, 1):.2g},"
                " or train with noise (epsilon)"
            )


def tuning_bins(study: Study, *, sites: tuple[str, ...], judgings: int, least: Least | None) -> int:
    """Return how many bins of the score a judging on tuning persons may have.

    Args:
        judgings: At most, over the whole training.

    Raises:
        Invalid: too few tuning persons, or too many judgings.
    """
    if least is None:
        return bins_for(None)
    if judgings > study.gate.dp.exact_sum_ration:
        raise Invalid(
            f"{judgings} judgings are as many exact sums on tuning persons, and the policy grants"
            f" {study.gate.dp.exact_sum_ration}; set a larger tune_every"
        )
    ratio = study.gate.small_cells.max_numbers_per_person
    persons = least(sites, "tuning")
    bins = bins_for(int(persons * ratio))
    if not bins:
        raise Invalid(
            f"early stopping asks {numbers(FEWEST_BINS)} numbers of tuning persons, for which the policy asks"
            f" {numbers(FEWEST_BINS) / ratio:.0f} of them, and these hospitals hold at least {persons}; set"
            " tune_every=None, or lock a study with a larger share of tuning persons"
        )
    return bins
