"""Who contributed: shares from sums beside those from retraining on real rows, their errors, and who can raise his own.

make bench NAME=contribution        (needs the real data: WARDGATE_DATA, default ../shared/data)
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from harness import Figure, write
from network_sets import _by_site
from numpy.typing import NDArray
from scipy.stats import spearmanr

from wardgate.computations.class_moments import ClassMoments
from wardgate.entropy import UnsafeEntropy
from wardgate.federation.plain import Plain, plain_sites
from wardgate.hub.pooling.ask import sum_ask
from wardgate.hub.pooling.contribution import (
    Contributed,
    Opened,
    Split,
    Wanted,
    block_contributions,
    contributed,
    holdout,
    site_contributions,
)
from wardgate.measures.contribution.models import coalition_models, sampling_spread
from wardgate.measures.contribution.shapley import every_coalition, permutations
from wardgate.measures.contribution.shares import values_of
from wardgate.measures.contribution.statistics import Tested
from wardgate.measures.contribution.utilities import Worth
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import LABEL
from wardgate.measures.logistic import newton_step, statistics
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Array = NDArray[np.float64]
Rows = tuple[Array, Array]
Tables = dict[str, dict[SplitName, pl.DataFrame]]

SEEDS = 3
RIDGE = 1.0
THRESHOLDS = {"IST": 0.5, "Diabetes-130": 0.15}
PER_BLOCK = 3
COPIES = (
    ("copied once", 0.0, 2),
    ("copied twice, changed by 1 %", 0.01, 3),
    ("copied once, changed by 4 %", 0.04, 2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """A data set whose natural groups are players, each as a block of three sites drawn from its rows."""

    name: str
    study: Study
    groups: Mapping[str, pl.DataFrame]
    threshold: float


def stroke() -> Set:
    """The 16 largest countries of the International Stroke Trial."""
    study, found = _by_site("ist/country.yaml", "ist_stroke")
    largest = sorted(found, key=lambda site: (-found[site].height, site))[:16]
    return Set(name="IST", study=study, groups={site: found[site] for site in largest}, threshold=THRESHOLDS["IST"])


def diabetes() -> Set:
    """The 10 largest sites of Diabetes-130 (it has no hospitals, but payers), at most 2,000 of each one's rows."""
    study, found = _by_site("diabetes130/study.yaml", "diabetes130")
    rng = np.random.default_rng(0)
    largest = sorted(found, key=lambda site: (-found[site].height, site))[:10]
    groups = {site: found[site][np.sort(rng.permutation(found[site].height)[:2_000])] for site in largest}
    return Set(name="Diabetes-130", study=study, groups=groups, threshold=THRESHOLDS["Diabetes-130"])


# ---- players


def divided(one: Set, names: Sequence[str], seed: int) -> tuple[Study, Tables, tuple[tuple[str, ...], ...]]:
    """Return each named group as a block of three sites, 60 % of its rows training and 25 % held out."""
    tables: Tables = {}
    blocks = []
    for place, name in enumerate(names):
        rows, rng = one.groups[name], np.random.default_rng([seed, place])
        order = rng.permutation(rows.height)
        cuts = np.array_split(order, PER_BLOCK)
        block = tuple(f"p{place:02d}-{part}" for part in range(PER_BLOCK))
        for site, own in zip(block, cuts, strict=True):
            first, last = round(0.6 * len(own)), round(0.75 * len(own))
            tables[site] = {"train": rows[np.sort(own[:first])], "holdout": rows[np.sort(own[last:])]}
        blocks.append(block)
    return locked(one.study, tables), tables, tuple(blocks)


def locked(study: Study, tables: Mapping[str, object]) -> Study:
    plain = dict(study.plain()) | {"sites": sorted(tables), "analyses": ["class_moments"], "subgroups": [], "rules": []}
    return Study.from_plain(plain)


def opened(study: Study, tables: Tables, entropy: str = "contribution") -> Plain:
    noise = UnsafeEntropy(entropy)
    return Plain(study=study, sites=plain_sites(study, tables, entropy=noise), entropy=noise)


def shares_of(
    study: Study, tables: Tables, blocks: tuple[tuple[str, ...], ...], *, threshold: float, within: float | None = 0.05
) -> Contributed:
    plain = opened(study, tables)
    wanted = Wanted(thresholds=(threshold,), within=within, ridge=RIDGE)
    least = dict.fromkeys(study.sites, 10_000)
    found: Contributed = plain.drive(
        block_contributions(study=study, blocks=blocks, wanted=wanted, persons_at_least=least)
    )
    return found


# ---- retraining


def refitted(x: Array, y: Array, start: Array) -> Array:
    """Ridge logistic regression from a start near its end."""
    beta = start
    for _ in range(25):
        after = newton_step(statistics(x, y, beta), beta, ridge=RIDGE)
        if float(np.max(np.abs(after - beta))) < 1e-4:
            return after
        beta = after
    return beta


def retrained(
    members: NDArray[np.bool_],
    rows: Sequence[tuple[Array, Array]],
    held: Sequence[tuple[Array, Array]],
    threshold: float,
) -> Array:
    """AUROC, net benefit and worst group's AUROC of real models on real holdout rows, shape (C, 3)."""
    x, y = np.concatenate([one for one, _ in held]), np.concatenate([one for _, one in held])
    whole_x, whole_y = np.concatenate([one for one, _ in rows]), np.concatenate([one for _, one in rows])
    start = refitted(whole_x, whole_y, np.zeros(whole_x.shape[1]))
    cut, odds = np.log(threshold / (1 - threshold)), threshold / (1 - threshold)
    ends = np.cumsum([len(one) for _, one in held])[:-1]
    found = np.zeros((len(members), 3))
    for place, chosen in enumerate(members):
        if not chosen.any():
            treated = np.full(len(y), whole_y.mean() >= threshold)
            found[place] = 0.5, _benefit(y, treated, odds), 0.5
            continue
        picked = np.flatnonzero(chosen)
        beta = refitted(
            np.concatenate([rows[p][0] for p in picked]), np.concatenate([rows[p][1] for p in picked]), start
        )
        score = x @ beta
        each = [
            auroc(labels, values).value
            for labels, values in zip(np.split(y, ends), np.split(score, ends), strict=True)
            if min(labels.sum(), len(labels) - labels.sum()) >= 11
        ]
        found[place] = auroc(y, score).value, _benefit(y, score >= cut, odds), min(each)
    return found


def _benefit(y: Array, treated: NDArray[np.bool_], odds: float) -> float:
    return float(np.mean(treated & (y == 1)) - odds * np.mean(treated & (y == 0)))


def rows_of(
    study: Study, tables: Tables, blocks: tuple[tuple[str, ...], ...], split: SplitName
) -> list[tuple[Array, Array]]:
    sites = opened(study, tables).sites
    return [
        (
            np.concatenate([sites[site].part(split).x for site in block]),
            np.concatenate([sites[site].part(split).y for site in block]),
        )
        for block in blocks
    ]


def beside_retraining(one: Set, players: int) -> list[Figure]:
    """Shapley values from sums beside those from retraining every coalition on real rows."""
    found: dict[str, list[float]] = {}
    gaps = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        names = [sorted(one.groups)[place] for place in rng.permutation(len(one.groups))[:players]]
        study, tables, blocks = divided(one, names, seed)
        ours = shares_of(study, tables, blocks, threshold=one.threshold)
        plan = every_coalition(players)
        real = plan.shares(
            retrained(
                plan.members,
                rows_of(study, tables, blocks, "train"),
                rows_of(study, tables, blocks, "holdout"),
                one.threshold,
            )
        )
        for column, name in enumerate(("AUROC", "net benefit", "worst site")):
            found.setdefault(name, []).append(float(spearmanr(real[:, column], ours.shares.by_players[:, column])[0]))
        error = ours.shares.by_players_error[:, 0]
        gaps.append(float(np.max(np.abs(real[:, 0] - ours.shares.by_players[:, 0]) / error)))
    figures = []
    for name, values in found.items():
        goal = name == "AUROC"
        met = float(np.mean(values)) >= 0.95 if goal else None
        figures.append(
            Figure(
                name=f"{one.name}, {players} players, Spearman of Shapley shares with retraining, {name}",
                value=round(float(np.mean(values)), 3),
                goal=">= 0.95" if goal else "",
                met=met,
                seeds=SEEDS,
                reason=(
                    f"lowest {min(values):.3f}; every one of {2**players} coalitions retrained on real rows"
                    + ("" if met is not False else "; shares of players of one size differ by less than their errors")
                ),
            )
        )
    figures.append(
        Figure(
            name=f"{one.name}, {players} players, largest gap to a retrained AUROC share, in standard errors",
            value=round(max(gaps), 2),
            seeds=SEEDS,
        )
    )
    return figures


def sixteen(one: Set) -> list[Figure]:
    """Time of the whole table, coalitions beside retraining, and how shares hold over divisions."""
    names = list(one.groups)
    walls, cpus, tables_of = [], [], []
    for seed in range(SEEDS):
        study, tables, blocks = divided(one, names, seed)
        sums = shares_of(study, tables, blocks, threshold=one.threshold)
        wall, cpu = time.perf_counter(), time.process_time()
        again = contributed(study, blocks, sums.sums, wanted=sums.wanted)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        tables_of.append(again)
    study, tables, blocks = divided(one, names, 0)
    plan = permutations(16, pairs=30, rng=np.random.default_rng(7))
    train, held = rows_of(study, tables, blocks, "train"), rows_of(study, tables, blocks, "holdout")
    real = retrained(plan.members, train, held, one.threshold)
    first = tables_of[0]
    worth = Worth(test=_test_of(study, blocks, first), thresholds=(one.threshold,))
    ours = values_of(plan.members, first.taught, worth, ridge=RIDGE)
    agree = float(spearmanr(plan.shares(real)[:, 0], plan.shares(ours)[:, 0])[0])
    coalitions = float(spearmanr(real[:, 0], ours[:, 0])[0])
    figures = [
        Figure(
            name="IST, 16 players, all 65,536 coalitions with standard errors: time of one core",
            value=round(float(np.median(cpus)), 2),
            unit="s",
            goal="< 10 s",
            met=max(cpus) < 10,
            seeds=SEEDS,
            reason=f"{float(np.median(walls)):.1f} s by the clock (slowest {max(walls):.1f} s); the machine was shared",
        ),
        Figure(
            name="IST, 16 players, Spearman of Shapley shares with retraining, same 60 permutations, AUROC",
            value=round(agree, 3),
            goal=">= 0.95",
            met=agree >= 0.95,
            seeds=1,
            reason="30 pairs of permutations, 1,020 coalitions retrained; both sides have the same sampling error",
        ),
        Figure(
            name="IST, 16 players, Spearman of the AUROC of coalitions with retraining",
            value=round(coalitions, 3),
            seeds=1,
        ),
    ]
    for kind in ("by_persons", "by_players"):
        drawn = [getattr(one.shares, kind)[:, 0] for one in tables_of]
        pairs = [(a, b) for a in range(SEEDS) for b in range(a)]
        pearson = [float(np.corrcoef(drawn[a], drawn[b])[0, 1]) for a, b in pairs]
        errors = [getattr(one.shares, f"{kind}_error")[:, 0] for one in tables_of]
        far = [float(np.mean(np.abs(drawn[a] - drawn[b]) <= 1.96 * np.hypot(errors[a], errors[b]))) for a, b in pairs]
        figures.append(
            Figure(
                name=f"IST, 16 players, correlation of AUROC shares ({kind.replace('_', ' ')}) between divisions",
                value=round(float(np.mean(pearson)), 3),
                goal=">= 0.9" if kind == "by_persons" else "",
                met=float(np.mean(pearson)) >= 0.9 if kind == "by_persons" else None,
                seeds=SEEDS,
                reason=f"lowest {min(pearson):.3f}; {np.mean(far):.0%} of differences within their 95 % interval"
                + "; other training and other holdout persons each time",
            )
        )
    return figures


def _test_of(study: Study, blocks: tuple[tuple[str, ...], ...], found: Contributed) -> Tested:
    return holdout(study, blocks, found.sums)


def learning_curve(one: Set) -> list[Figure]:
    """Worth expected of a part of all persons, beside retraining on such parts: what shares by persons rest on."""
    study, tables, blocks = divided(one, list(one.groups), 0)
    found = shares_of(study, tables, blocks, threshold=one.threshold, within=None)
    worth = Worth(test=_test_of(study, blocks, found), thresholds=(one.threshold,))
    train, held = rows_of(study, tables, blocks, "train"), rows_of(study, tables, blocks, "holdout")
    x, y = np.concatenate([a for a, _ in train]), np.concatenate([b for _, b in train])
    test_x, test_y = np.concatenate([a for a, _ in held]), np.concatenate([b for _, b in held])
    products, events = found.taught.products.sum(axis=0)[None], found.taught.events.sum(axis=0)[None]
    prevalence, rng, gaps = found.taught.prevalence, np.random.default_rng(0), []
    for there in (0.005, 0.02, 0.1, 0.5):
        model = coalition_models(there * products, there * events, prevalence=prevalence, ridge=RIDGE)
        spread = sampling_spread(there * products, there * (1 - there) * products, prevalence=prevalence, ridge=RIDGE)
        expected = float(worth(model, spread)[0, 0])
        drawn = []
        for _ in range(20):
            chosen = rng.random(len(y)) < there
            beta = refitted(x[chosen], y[chosen], np.zeros(x.shape[1]))
            drawn.append(auroc(test_y, test_x @ beta).value)
        gaps.append(expected - float(np.mean(drawn)))
    return [
        Figure(
            name="IST, AUROC expected of 0.5 to 50 % of all persons less that of retraining: largest gap",
            value=round(max(gaps, key=abs), 4),
            seeds=20,
            reason="gaps at 0.5, 2, 10 and 50 %: " + ", ".join(f"{gap:+.4f}" for gap in gaps),
        )
    ]


# ---- who wants more


def jittered(rows: pl.DataFrame, study: Study, change: float, rng: np.random.Generator) -> pl.DataFrame:
    """Return rows whose numbers are changed by up to this part of their range."""
    columns = []
    for feature in study.features:
        if feature.type in ("number", "integer") and feature.range is not None and change:
            low, high = (float(end) for end in feature.range)
            moved = pl.Series(rng.uniform(-change, change, rows.height) * (high - low))
            columns.append((pl.col(feature.name) + moved).clip(low, high))
    return rows.with_columns(columns)


def attacks(one: Set) -> list[Figure]:
    """How far a player raises its own share, in standard errors of it; single sites as players."""
    names = list(one.groups)
    _, tables, blocks = divided(one, names, 0)
    merged: Tables = {
        name: {split: pl.concat([tables[site][split] for site in block]) for split in ("train", "holdout")}
        for name, block in zip(names, blocks, strict=True)
    }
    raised: dict[str, list[float]] = {}
    honest = {within: singles(one, merged, within=within) for within in (None, 0.05)}
    error = {name: honest[None].shares.by_persons_error[place] for place, name in enumerate(names)}
    players_error = {name: honest[None].shares.by_players_error[place] for place, name in enumerate(names)}
    place_of = {name: place for place, name in enumerate(names)}

    def note(key: str, gain: Array, size: Array) -> None:
        raised.setdefault(key, []).append(float(np.max(gain / size)))

    for name in (names[0], names[7], names[15]):
        rng, place = np.random.default_rng(place_of[name]), place_of[name]
        rows = merged[name]["train"]
        before = honest[0.05].shares
        for words, change, times in COPIES:
            more = [jittered(rows, one.study, change, rng) for _ in range(times - 1)]
            tampered = merged | {name: merged[name] | {"train": pl.concat([rows, *more])}}
            for within, kind in ((None, "every record counts"), (0.05, "copies count once")):
                after = singles(one, tampered, within=within, redraws=20).shares.by_persons
                note(f"rows {words}: {kind}", (after - honest[within].shares.by_persons)[place], error[name])
        half = rng.random(rows.height) < 0.5
        two: Tables = {key: value for key, value in merged.items() if key != name}
        two |= {
            f"{name}-a": {"train": rows.filter(half), "holdout": merged[name]["holdout"]},
            f"{name}-b": {"train": rows.filter(~half), "holdout": merged[name]["holdout"].head(0)},
        }
        after_two = singles(one, two, within=0.05, redraws=20, pairs=60).shares
        own = [place for place, key in enumerate(sorted(two)) if key.startswith(f"{name}-")]
        by_persons = after_two.by_persons[own].sum(axis=0) - before.by_persons[place]
        by_players = after_two.by_players[own].sum(axis=0) - before.by_players[place]
        note("two names: shares by persons", by_persons[:2], error[name][:2])
        note("two names: Shapley shares of players", by_players[:2], players_error[name][:2])
        shuffled = rows.with_columns(pl.Series(LABEL, rng.permutation(rows[LABEL].to_numpy())))
        lazy = singles(one, merged | {name: merged[name] | {"train": shuffled}}, within=0.05, redraws=20)
        head = lazy.taught.persons[place] / lazy.taught.persons.sum() * (lazy.shares.everybody - lazy.shares.nobody)
        note("outcomes shuffled: paid by the head", head[:1], error[name][:1])
        note("outcomes shuffled: share by persons", lazy.shares.by_persons[place, :1], error[name][:1])
    figures = []
    for key, values in raised.items():
        protected = key.endswith(("copies count once", "by persons"))
        worst = max(values)
        figures.append(
            Figure(
                name=f"IST, one of 16 sites, {key}",
                value=round(worst, 2),
                unit="standard errors of its share",
                goal="<= 1" if protected else "",
                met=worst <= 1 if protected else None,
                seeds=1,
                reason="highest of three sites (largest, middle, smallest) and of the utilities: "
                + ", ".join(f"{value:.2f}" for value in values)
                + ("" if protected else "; without the protection"),
            )
        )
    return figures


def singles(one: Set, tables: Tables, *, within: float | None, redraws: int = 60, pairs: int = 200) -> Contributed:
    """Shares of single sites from true sums in the open: what noise would blur, to see attacks sharply."""
    from wardgate.hub.pooling.contribution import contributed

    study = locked(one.study, tables)
    plain = opened(study, tables)
    sums = []
    for split, products in (("train", "together"), ("holdout", "none")):
        for site in sorted(tables):
            asked = ClassMoments(products=products, within=within)
            sums.append(_alone(plain, asked, (site,), split))
    sums.append(_alone(plain, ClassMoments(products="apart", within=within), tuple(sorted(tables)), "holdout"))
    wanted = Wanted(thresholds=(one.threshold,), within=within, ridge=RIDGE, redraws=redraws, pairs=pairs)
    players = tuple((site,) for site in _order(one, tables))
    return contributed(study, players, tuple(sums), wanted=wanted)


def _order(one: Set, tables: Tables) -> list[str]:
    return list(one.groups) if set(tables) == set(one.groups) else sorted(tables)


def _alone(plain: Plain, asked: ClassMoments, sites: tuple[str, ...], split: Split) -> Opened:
    told = plain.ask(sum_ask(asked, what="in the open", study=plain.study, sites=sites, split=split))
    return Opened(what="in the open", split=split, sites=sites, asked=asked, total=told.sum(), noise=0.0)


def noised(one: Set) -> list[Figure]:
    """Single hospitals with noise of their own, beside the same without."""
    _, tables, blocks = divided(one, list(one.groups), 0)
    merged: Tables = {
        name: {split: pl.concat([tables[site][split] for site in block]) for split in ("train", "holdout")}
        for name, block in zip(one.groups, blocks, strict=True)
    }
    clear = singles(one, merged, within=0.05)
    study = locked(one.study, merged)
    figures = []
    for epsilon in (3.0, 8.0):
        agree, covered = [], []
        for seed in range(SEEDS):
            plain = opened(study, merged, entropy=f"noise-{seed}")
            wanted = Wanted(thresholds=(one.threshold,), ridge=RIDGE)
            found = plain.drive(
                site_contributions(study=study, sites=tuple(sorted(merged)), wanted=wanted, epsilon=epsilon, delta=1e-5)
            )
            order = [sorted(merged).index(name) for name in one.groups]
            noisy = found.shares.by_persons[order, 0]
            agree.append(float(spearmanr(noisy, clear.shares.by_persons[:, 0])[0]))
            error = found.shares.by_persons_error[order, 0]
            covered.append(float(np.mean(np.abs(noisy - clear.shares.by_persons[:, 0]) <= 1.96 * error)))
        figures.append(
            Figure(
                name=f"IST, 16 single sites with noise, epsilon {epsilon:g}: Spearman with the shares of true sums",
                value=round(float(np.mean(agree)), 3),
                seeds=SEEDS,
                reason=f"lowest {min(agree):.3f}; {np.mean(covered):.0%} within their 95 % interval",
            )
        )
    return figures


def main() -> None:
    figures: list[Figure] = []
    ist = stroke()
    steps: list[tuple[str, Callable[[], list[Figure]]]] = [
        ("sixteen players", lambda: sixteen(ist)),
        ("learning curve", lambda: learning_curve(ist)),
        ("noise", lambda: noised(ist)),
        ("IST retrained", lambda: beside_retraining(ist, 10)),
        ("Diabetes retrained", lambda: beside_retraining(diabetes(), 7)),
        ("attacks", lambda: attacks(ist)),
    ]
    for words, step in steps:
        begun = time.perf_counter()
        figures += step()
        print(f"{words}: {time.perf_counter() - begun:.0f} s", flush=True)
        write("contribution", figures, "make bench NAME=contribution")


if __name__ == "__main__":
    main()
