"""A sum that survived drop-outs, opened again from what lies in the run: deposits, masked answers, revealed shares."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Broken
from wardgate.records.messages import Answer, OpenedSum, Question, SumTerms
from wardgate.records.parcel import VectorRef
from wardgate.records.study import Study
from wardgate.sums.agreed import agreed_batch, least_survivors
from wardgate.sums.batch import Batch
from wardgate.sums.plan import SumPlan
from wardgate.sums.recovery import recover_total
from wardgate.sums.ring import Ring
from wardgate.sums.survivors import survivors_digest


class Said(Protocol):
    """An answer that a site signed."""

    @property
    def answer(self) -> Answer: ...
    @property
    def sha256(self) -> str: ...


class Heard(Protocol):
    """A question that the hub signed."""

    @property
    def question(self) -> Question: ...


Known = Callable[[VectorRef], bytes]


def batch_of(terms: SumTerms, asked: Mapping[str, Heard], *, study: Study) -> Batch | None:
    """Return the batch that a sum's slot names; nothing where the sum has no slot.

    Raises:
        Broken: no question prepared it, or it opens with fewer survivors than the study allows.
    """
    if terms.slot is None:
        return None
    prepared = asked.get(terms.slot.batch_sha256)
    if prepared is None or prepared.question.computation != "prepare":
        raise Broken("the sum names a slot of a batch that no question prepared")
    if study.drop_out is None:
        raise Broken("a sum that lets sites vanish, in a study that lets none")
    sites = tuple(prepared.question.parameters.get("sites", ()))
    minimum = study.gate.min_sites_in_sum
    if terms.slot.least < least_survivors(len(sites), study.drop_out, minimum=minimum):
        raise Broken(f"the sum would open with {terms.slot.least} survivors, fewer than the study allows")
    return agreed_batch(sites, drop_out=study.drop_out, question_sha256=terms.slot.batch_sha256, coin=terms.coin)


def check_slot_used_once(terms: SumTerms, used: set[tuple[str, int]]) -> None:
    """Note the slot of a question.

    Raises:
        Broken: another question used it before.
    """
    if terms.slot is None:
        return
    place = (terms.slot.batch_sha256, terms.slot.index)
    if place in used:
        raise Broken("a second sum in one slot: two vectors under one self mask would lie open")
    used.add(place)


def reopen(
    record: OpenedSum,
    plan: SumPlan,
    *,
    masked: Mapping[str, Ring],
    asked: Mapping[str, Heard],
    given: Mapping[str, Mapping[str, Said]],
    known: Known,
) -> NDArray[np.float64]:
    """Return the total over the survivors.

    Args:
        masked: Of the survivors.
        asked, given: All questions by digest, and all answers by question and site.
        known: Gives the bytes of a vector in the run.

    Raises:
        Broken: shares that no survivor signed, or a confirmation of another list.
    """
    if plan.slot is None or record.reveals is None:
        raise Broken("a sum that lets sites vanish was opened without what they revealed")
    survivors = tuple(sorted(record.answers))
    sum_sha256 = record.question_sha256
    digest = survivors_digest(plan, survivors).hex()
    said = {"sum": sum_sha256, "survivors": list(survivors)}
    reveals: dict[str, bytes] = {}
    for asked_sha256, heard in asked.items():
        if heard.question.computation not in ("confirm", "reveal") or heard.question.parameters != said:
            continue
        for site, one in given[asked_sha256].items():
            if one.answer.outcome == "refused":
                continue
            if one.answer.statement.get("survivors_sha256") != digest:
                raise Broken(f"'{site}' confirmed another list of survivors than the one that was opened")
            if heard.question.computation == "reveal" and record.reveals.get(site) == one.sha256:
                reveals[site] = known(_ref(one.answer, "shares"))
    if set(reveals) != set(record.reveals):
        raise Broken("the sum was opened with shares that no survivor signed")
    prepared = given[plan.slot.batch.context.hex()]
    deposits = {
        site: known(_ref(prepared[site].answer, "deposit"))
        for site in plan.roster
        if site in prepared and prepared[site].answer.outcome == "released"
    }
    found = recover_total(plan, survivors=survivors, deposits=deposits, masked=masked, reveals=reveals)
    return found.total


def _ref(answer: Answer, name: str) -> VectorRef:
    ref = next((ref for ref in answer.vectors if ref.name == name), None)
    if ref is None:
        raise Broken(f"the answer of {answer.site} holds no '{name}'")
    return ref
