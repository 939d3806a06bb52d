"""Who contributed, in plain words: for a terminal, for the end of a publication, and for an agreement."""

from collections.abc import Iterator

from wardgate.papers.words import figure, interval, listed, number, size
from wardgate.records.contribution import Contribution, Player, Share

DEFINITIONS = {
    "by_persons": (
        "Each hospital's share is the sum of its patients' shares: what one more of its patients adds, on average over"
        " how many others have already come. Dividing a hospital in two leaves the sum of both as it was."
    ),
    "by_players": (
        "The Shapley value counts each player as one, however large; a player under two names counts twice. It is shown"
        " for comparison and should not be agreed on."
    ),
    "left_out": "What everybody's model loses without the player; near nothing where hospitals resemble each other.",
}

GOOD_FOR = (
    "to say in a publication who brought what, with the error of each figure",
    "as one agreed criterion among others, fixed before the figures were known",
    "to see whether a player's data help the others, or make the model worse",
)

NOT_FOR = (
    "a price: a share says what data added to one model on one day, not what they are worth",
    "judging a hospital's care or its people: other patients make other shares",
    "ranking players whose intervals overlap",
    "proof against made-up patients: who draws plausible records from a published model is not found",
)


def contribution_text(record: Contribution) -> str:
    """Return the record as plain text. Pure."""
    return "\n".join(_lines(record)) + "\n"


def credit_lines(record: Contribution) -> str:
    """Return lines for the end of a publication, one a player and worth, in the order of the record. Pure."""
    return "\n".join(_credits(record)) + "\n"


def share_of(player: Player, worth: str) -> Share:
    """Return a player's share in one kind of worth."""
    return next(share for share in player.shares if share.worth == worth)


def heading(record: Contribution) -> str:
    """Return in words who the players are."""
    if record.players_are == "sites":
        noise = "" if record.epsilon is None else f", each with noise of its own (epsilon {record.epsilon:g} a split)"
        return f"{number(len(record.players), 'hospital')} for themselves{noise}"
    hospitals = sum(len(player.sites) for player in record.players)
    return f"{number(hospitals, 'hospital')} in {number(len(record.players), 'block')}, {record.drawn}"


def errors_say(record: Contribution) -> str:
    """Return what standard errors cover."""
    sampled = any(share.sampling_error > 0 for player in record.players for share in player.shares)
    return (
        f"Standard errors say how far shares move with other patients of the same kind ({record.redraws} redraws"
        + (", and the noise" if record.epsilon is not None else "")
        + (f", and {record.coalitions:,} coalitions sampled" if sampled else f"; all {record.coalitions:,} coalitions")
        + "). They do not cover that the model stands in for another one."
    )


def copies_say(record: Contribution) -> str:
    """Return whether copies of records were looked for."""
    if record.within is None:
        return "Copies of records were not looked for: whoever copied its records has a larger share."
    return (
        f"Records that agree in all words and within {record.within:.0%} of every number's range count as one person."
    )


def _lines(record: Contribution) -> Iterator[str]:
    yield f"Who contributed: {heading(record)}"
    yield f"  study {record.study_sha256[:16]}..., {record.issued_on}; {size(record.bytes_moved)} moved"
    yield f"  shares of {record.stands_for}"
    for worth in record.worth:
        yield ""
        yield f"{worth.name}: {figure(worth.nobody, 3)} of nobody, {figure(worth.everybody, 3)} of everybody"
        yield f"  ({worth.meaning})"
        head = f"  {'player':<14}{'training':>12}{'share':>9}{'se':>8}"
        yield f"{head}  {'95 % interval':<18}{'Shapley':>8}{'left out':>10}"
        for player in record.players:
            one = share_of(player, worth.name)
            yield (
                f"  {player.name:<14}{player.persons_band:>12}{figure(one.by_persons, 4):>9}"
                f"{figure(one.by_persons_error, 4):>8}  {interval(one.low, one.high, 4):<18}"
                f"{figure(one.by_players, 4):>8}{figure(one.left_out, 4):>10}"
            )
    yield ""
    for player in record.players:
        if record.players_are == "blocks":
            yield f"{player.name}: {listed(player.sites)}"
        if player.remark:
            yield f"{player.name}: {player.remark}"
    yield DEFINITIONS["by_persons"]
    yield errors_say(record)
    yield copies_say(record)
    yield "A share is not a price. Good for: " + "; ".join(GOOD_FOR) + "."
    yield "Not for: " + "; ".join(NOT_FOR) + "."


def _credits(record: Contribution) -> Iterator[str]:
    study = record.study_sha256[:16]
    yield f"Data contribution ({record.issued_on}; study {study}; shares by persons, standard errors):"
    for player in record.players:
        shares = ", ".join(
            f"{figure(one.by_persons, 4)} ({figure(one.by_persons_error, 4)}) {one.worth}" for one in player.shares
        )
        yield f"{', '.join(player.sites)}: data curation, resources; {shares}."
