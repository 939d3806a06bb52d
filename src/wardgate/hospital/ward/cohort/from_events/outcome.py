"""The outcome of each entry: what happened first after the index date, and until when nothing can have been missed."""

import ibis
import polars as pl

from wardgate.hospital.ward.cohort.from_events.asked import KEY, Asked, beside
from wardgate.hospital.ward.cohort.from_events.picks import competing_picks, distinct, outcome_picks
from wardgate.hospital.ward.cohort.from_events.wide import divided
from wardgate.hospital.ward.source.events import Expression
from wardgate.records.entry import Outcome
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

NONE, EVENT, COMPETING, CENSORED = 0, 1, 2, 3
"""States: followed to the window's end without an event; the outcome; what makes it impossible; lost from sight."""

_DAY_US = 86_400_000_000


def outcome_of(study: Study) -> Outcome:
    """Return what the outcome is.

    Raises:
        Invalid: the study is not one of events.
    """
    if study.label.events is None:
        raise Invalid("the study's label is a column of a table, not an event; add 'label.events' to the study")
    return study.label.events


def followed(entries: Expression, asked: Asked, study: Study) -> Expression:
    """Return the entries with the first outcome event in the window of the label, and the first competing event.

    An outcome counts in (index + from, index + to]; a competing event from the index date on, for after it nothing
    can happen. `until` is the window's end.
    """
    outcome = outcome_of(study)
    low, high = study.label.window_days
    until = entries["index"] + ibis.interval(days=high)
    if outcome.until == "entry-end":
        until = ibis.least(until, ibis.coalesce(entries.end, until))
    entries = entries.mutate(until=until)
    own, competing = outcome_picks(study), competing_picks(study)
    picks = distinct([*own, *competing])
    events = asked.events(picks).select("pick", "subject_id", "time")
    joined = entries.select(*KEY, "index", "until").inner_join(events, "subject_id")
    joined = joined.filter((joined.time > joined["index"]) & (joined.time <= joined.until))
    in_window = joined.time > joined["index"] + ibis.interval(days=low)
    found = joined.group_by(KEY).aggregate(
        event=joined.time.min(where=joined.pick.isin([picks.index(pick) for pick in own]) & in_window),
        competing=joined.time.min(where=joined.pick.isin([picks.index(pick) for pick in competing]))
        if competing
        else ibis.null("timestamp(6)"),
    )
    return beside(entries, found)


def labelled(entries: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Return the entries with `state` (Int8), `days` (Float64, from the index date to it) and `label` (Int8 or null).

    Whoever died by the index date has no outcome: unknown. A death in the window that is neither the outcome nor
    competing ends the observation.

    Args:
        entries: Rows of `followed`.
    """
    outcome = outcome_of(study)
    index, until, event, competing, death = (pl.col(name) for name in ("index", "until", "event", "competing", "death"))
    seen_to = pl.min_horizontal(pl.col("observed_until").fill_null(index), death)
    dead = (death <= index).fill_null(False)
    happened = event.is_not_null() & (competing.is_null() | (event <= competing)) & ~dead
    state = (
        pl.when(dead)
        .then(CENSORED)
        .when(happened)
        .then(EVENT)
        .when(competing.is_not_null())
        .then(COMPETING)
        .when(seen_to < until)
        .then(CENSORED)
        .otherwise(NONE)
        .cast(pl.Int8)
    )
    rows = entries.with_columns(state=state)
    at = (
        pl.when(pl.col("state") == EVENT)
        .then(event)
        .when(pl.col("state") == COMPETING)
        .then(competing)
        .when(pl.col("state") == CENSORED)
        .then(seen_to)
        .otherwise(until)
    )
    after = rows.select(days=(at - index).dt.total_microseconds().clip(lower_bound=0))["days"]
    lost = None if outcome.follow_up == "required" else 0
    label = (
        pl.when(dead)
        .then(None)
        .otherwise(
            pl.col("state").replace_strict(
                {
                    NONE: 0,
                    EVENT: 1,
                    COMPETING: 0 if outcome.competing_counts == "negative" else None,
                    CENSORED: lost,
                },
                return_dtype=pl.Int8,
            )
        )
    )
    return rows.with_columns(divided(after, _DAY_US), label=label)
