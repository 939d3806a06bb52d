"""Who else takes part: other sites' exchange keys, accepted only under their own long-term signatures."""

from collections.abc import Mapping

from wardgate.hospital.ward.answering.bench import Bench
from wardgate.hospital.ward.gate.candidate import Statement
from wardgate.records.bands import at_least, band
from wardgate.records.canonical import sha256
from wardgate.records.errors import Refused
from wardgate.records.messages import Question, RosterEntry, open_answer, read_roster
from wardgate.records.parcel import Parcel
from wardgate.sums.graph import study_coin
from wardgate.sums.keys import pair_secret, public_bytes


def join(bench: Bench, question: Question, parcel: Parcel, phone_book: Mapping[str, bytes]) -> Statement:
    """Check the enrolments that came with the roster and agree on a secret with each of their sites.

    Raises:
        Refused: an enrolment is not signed by that site's long-term key, speaks of another study, or the roster
            states another key than the site signed. A hub that swaps keys ends here.
    """
    if not question.vectors or question.vectors[0].name != "roster":
        raise Refused("the question brings no roster")
    entries = read_roster(parcel.blobs[0])
    own = entries.get(bench.hospital.id)
    if own is None or own.exchange_key != public_bytes(bench.exchange_key).hex():
        raise Refused("the roster does not hold this site with the exchange key that it signed")
    for ref, envelope in zip(question.vectors[1:], parcel.blobs[1:], strict=True):
        site = ref.name.removeprefix("enrolment:")
        if site == bench.hospital.id or site in bench.met:
            continue
        entry, key = entries.get(site), phone_book.get(site)
        if entry is None or key is None:
            raise Refused(f"an enrolment of '{site}' came, but the roster or the list of known keys does not hold it")
        _check(entry, envelope, key, bench.study_sha256)
        bench.pair_secrets[site] = pair_secret(
            bench.exchange_key,
            site=bench.hospital.id,
            other=site,
            other_public=bytes.fromhex(entry.exchange_key),
            study_sha256=bench.study_sha256,
        )
        bench.met[site] = entry
    for site, entry in bench.met.items():
        if entries.get(site, entry) != entry:
            raise Refused(f"the roster says something else of '{site}' than an earlier one that this site checked")
    if own.persons_band != band(bench.persons):
        raise Refused("the roster states another number of persons for this site than it signed")
    digest = sha256(parcel.blobs[0])
    bench.coin = study_coin(bench.study_sha256, phone_book)
    bench.rosters[digest] = {site: at_least(entry.persons_band) for site, entry in entries.items()}
    bench.least |= bench.rosters[digest]
    said: dict[str, object] = {"roster_sha256": digest, "sites": len(entries)}
    return Statement(said=said, smallest_cell=bench.study.gate.small_cells.min_count)


def _check(entry: RosterEntry, envelope: bytes, key: bytes, study_sha256: str) -> None:
    if sha256(envelope) != entry.enrolment_sha256:
        raise Refused(f"the enrolment of '{entry.site}' is not the one that the roster names")
    answer = open_answer(envelope, site_key=key)
    if answer.computation != "review" or answer.site != entry.site or answer.study_sha256 != study_sha256:
        raise Refused(f"the enrolment of '{entry.site}' is not that site's signed answer in this study")
    if answer.statement.get("exchange_key") != entry.exchange_key:
        raise Refused(f"the roster states another exchange key for '{entry.site}' than the site signed")
    if answer.statement.get("persons_band") != entry.persons_band:
        raise Refused(f"the roster states another number of persons for '{entry.site}' than the site signed")
