"""What a question may say: the roster as the sites signed it, and a sum's terms as everybody can work them out."""

from collections.abc import Collection, Mapping

from wardgate.hub import layout
from wardgate.records.bands import at_least, at_most
from wardgate.records.errors import Broken
from wardgate.records.messages import Answer, Question, RosterEntry
from wardgate.records.study import Study
from wardgate.sums.graph import study_coin


def introduction(answer: Answer, *, envelope_sha256: str, key: bytes) -> RosterEntry | None:
    """Return how a site's own signed review introduces it; nothing where it does not take part."""
    said = answer.statement
    if answer.computation != "review" or said.get("agreed") is not True:
        return None
    return RosterEntry(
        site=answer.site,
        public_key=key.hex(),
        exchange_key=str(said["exchange_key"]),
        enrolment_sha256=envelope_sha256,
        persons_band=str(said["persons_band"]),
    )


def check_roster(entries: Mapping[str, RosterEntry], introduced: Mapping[str, RosterEntry]) -> None:
    """Check the roster of a question against what each of its sites signed.

    Raises:
        Broken: a site in it has another key, band or enrolment than it signed, or signed nothing.
    """
    for site, entry in entries.items():
        signed = introduced.get(site)
        if signed is None:
            raise Broken(f"its roster holds '{site}', which did not agree to the study")
        wrong = [name for name, value in signed.plain().items() if getattr(entry, name) != value]
        if wrong:
            raise Broken(f"its roster states another {wrong[0]} for '{site}' than the site signed")


def check_terms(
    question: Question,
    *,
    study: Study,
    keys: Mapping[str, bytes],
    bands: Mapping[str, str],
    rosters: Mapping[str, Collection[str]],
) -> None:
    """Check the public terms of a sum.

    Args:
        keys: Long-term keys of all parties.
        bands: Persons of each site that takes part, as it signed them.
        rosters: By digest, the sites of every roster that was asked before.

    Raises:
        Broken: too few sites, a site that does not take part, another coin, roster or bound on persons, or noise
            that too few colluding sites would undo.
    """
    terms = question.sum
    if terms is None:
        return
    stranger = next((site for site in terms.roster if site not in bands), None)
    if stranger is not None:
        raise Broken(f"a sum over '{stranger}', which did not agree to the study")
    if len(set(terms.roster)) < study.gate.min_sites_in_sum or list(terms.roster) != sorted(set(terms.roster)):
        raise Broken(f"a sum needs a sorted roster of at least {study.gate.min_sites_in_sum} different sites")
    if not set(terms.roster) <= set(rosters.get(terms.roster_sha256 or "", ())):
        raise Broken("the sum names no roster that introduced its sites to each other before")
    sites = len(terms.roster)
    lost = 0 if terms.slot is None else sites - terms.slot.least
    wanted = sites - 1 if study.budget.noise == "local" else sites // 3 + lost
    if terms.noise_multiplier is not None and terms.tolerated < wanted:
        raise Broken(f"the noise of the sum would not survive {terms.tolerated + 1} missing shares; {wanted} it must")
    if terms.coin != study_coin(question.study_sha256, {name: keys[name] for name in keys if name != layout.HUB}):
        raise Broken("the coin of the sum is not the one that study and keys give")
    persons = sum(at_most(bands[site]) for site in terms.roster)
    if terms.persons != persons:
        raise Broken(f"the sum is planned for {terms.persons} persons, its sites signed bands of at most {persons}")


def persons_of(question: Question, *, study: Study, bands: Mapping[str, str]) -> int:
    """Return how many persons at least a sum touches: the lower ends of its sites' bands, times the split's share.

    Raises:
        Broken: a sum over no split.
    """
    if question.sum is None:
        return 0
    if question.split == "none":
        raise Broken("a sum over no split")
    share: float = getattr(study.splits, question.split)
    return int(sum(at_least(bands.get(site, "<11")) for site in question.sum.roster) * share)


MAY_VANISH = ("prepare", "shares", "confirm", "reveal")
"""Steps of a sum that survives drop-outs; whoever is missing is missing in the sum."""


def silent(question: Question, outcomes: Collection[str], *, taking_part: Collection[str], study: Study) -> set[str]:
    """Return the sites that a question was for and that gave no answer to it."""
    expected: set[str] = set()
    if question.sum is not None:
        expected = set(question.sum.roster)
    elif question.computation == "review":
        expected = set(study.sites)
    elif question.computation in ("associations", "close") or question.parameters.get("pass") == 1:
        expected = set(taking_part)
    return expected - set(outcomes)


def unanswered(
    question: Question,
    outcomes: Mapping[str, str],
    *,
    opened: bool,
    taking_part: Collection[str],
    study: Study,
    between_machines: bool,
) -> str:
    """Say what is missing after a question, or nothing. A sum may stay closed only where a site refused.

    Where the study lets sites drop out, a site may also fall silent: its sum stays closed or opens without it, and
    only whoever takes part to the end must close. Between machines anybody may fall silent at any time; no sum opens
    by that, since an opened one is recounted from the answers of all.

    Args:
        outcomes: Of each answer, by site.
        opened: Whether the hub opened the sum.
        taking_part: Sites that agreed to the study.
    """
    missing = silent(question, outcomes, taking_part=taking_part, study=study)
    if between_machines and missing:
        return ""
    if missing and (study.drop_out is None or not (question.sum is not None or question.computation == "review")):
        return f"{len(missing)} sites that were asked did not answer, first '{min(missing)}'"
    if study.drop_out is not None and question.computation in ("roster", "associations"):
        return ""
    if question.computation in MAY_VANISH or (question.sum is not None and question.sum.slot is not None):
        return ""
    if not outcomes:
        return "nobody answered"
    whole = question.sum is not None and set(question.sum.roster) == set(outcomes)
    if whole and not opened and set(outcomes.values()) == {"released"}:
        return "every site answered, but the hub's record of the sum is missing"
    return ""
