"""Who takes part: every site reviews the locked study, and those that agree are introduced to each other."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass

from wardgate.hub.pooling.ask import Ask, Told
from wardgate.records.bands import at_least
from wardgate.records.canonical import sha256
from wardgate.records.errors import CheckFailed
from wardgate.records.messages import Answer, Roster, RosterEntry
from wardgate.records.study import Study
from wardgate.sums.agreed import degree_of, drop_outs
from wardgate.sums.graph import DEGREE, neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What every site said to the study.

    Attributes:
        reviews: The signed answers, by site.
        envelopes: As they were signed.
        sites: Those that agreed, sorted.
    """

    reviews: Mapping[str, Answer]
    envelopes: Mapping[str, bytes]
    sites: tuple[str, ...]

    def persons_at_least(self, site: str) -> int:
        """Return how many persons a site has at least, by the band that it signed."""
        return at_least(str(self.reviews[site].statement["persons_band"]))


def review(study: Study) -> Generator[Ask, Told, Enrolled]:
    """Ask every site of the study to check it against its own data.

    Raises:
        CheckFailed: fewer than three sites can take part.
    """
    told = yield Ask(
        what="review of the locked study",
        computation="review",
        sites=study.sites,
        blobs=(("study", study.to_bytes()),),
    )
    agreed = tuple(sorted(site for site, answer in told.answers.items() if answer.statement.get("agreed") is True))
    if len(agreed) < 3:
        reasons = [
            f"{site}: {answer.refusal or ', '.join(answer.statement.get('reasons', []))}"
            for site, answer in told.answers.items()
            if site not in agreed
        ]
        reasons += [f"{site}: did not answer" for site in study.sites if site not in told.answers]
        raise CheckFailed(f"{len(agreed)} hospitals can take part, expected at least 3. {'; '.join(reasons)}")
    return Enrolled(reviews=dict(told.answers), envelopes=dict(told.envelopes), sites=agreed)


def introduce(
    enrolled: Enrolled, *, sites: tuple[str, ...], keys: Mapping[str, bytes], coin: str, drop_out: float | None = None
) -> Generator[Ask, Told, tuple[str, ...]]:
    """Let the sites of a roster check each other's signed enrolments and agree on secrets.

    Beyond 50 sites, who shares masks with whom depends on the roster, so a smaller one is introduced anew.

    Args:
        keys: Long-term public keys of the sites.
        coin: Public randomness of the mask graph.
        drop_out: Share of sites that may vanish from a sum; sites then have more mask partners.

    Returns:
        The sites that are now introduced: all, or those that answered where the study lets some drop out.

    Raises:
        CheckFailed: a site does not accept the roster, or too few answered.
    """
    entries = [
        RosterEntry(
            site=site,
            public_key=keys[site].hex(),
            exchange_key=str(enrolled.reviews[site].statement["exchange_key"]),
            enrolment_sha256=sha256(enrolled.envelopes[site]),
            persons_band=str(enrolled.reviews[site].statement["persons_band"]),
        )
        for site in sites
    ]
    around = neighbours(sites, coin=bytes.fromhex(coin), degree=max(DEGREE, degree_of(len(sites), drop_out or 0.0)))
    told = yield Ask(
        what=f"roster of {len(sites)} sites and exchange of keys",
        computation="roster",
        sites=sites,
        blobs=(("roster", Roster(entries=tuple(entries)).to_bytes()),),
        site_blobs={
            site: tuple((f"enrolment:{other}", enrolled.envelopes[other]) for other in around[site]) for site in sites
        },
    )
    refused = {site: answer.refusal for site, answer in told.answers.items() if answer.outcome == "refused"}
    absent = {site: "did not answer" for site in sites if site not in told.answers}
    if len(absent) > drop_outs(len(sites), drop_out or 0.0)[0]:
        refused |= absent
    if refused:
        site, reason = next(iter(refused.items()))
        raise CheckFailed(f"{len(refused)} sites do not accept the roster; {site}: {reason}")
    return tuple(site for site in sites if site not in absent)
