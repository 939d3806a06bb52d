"""What was counted on the way from events to a cohort -> requirements in four states, without a count below 11."""

from collections.abc import Iterator, Sequence

from wardgate.hospital.ward.cohort.findings import ENOUGH, Counts, State, cohort_size, share
from wardgate.hospital.ward.cohort.from_events.entries import entry_of
from wardgate.hospital.ward.cohort.from_events.found import EntryStep
from wardgate.hospital.ward.cohort.from_events.part import ENTRY_EVENT
from wardgate.records.results import Requirement
from wardgate.records.study import Study


def judge_entries(study: Study, flow: Sequence[EntryStep]) -> Iterator[Requirement]:
    """Judge the steps of the flow up to what is asked of features.

    Args:
        flow: The whole flow, from the persons in the source on.
    """
    persons = flow[0].persons
    yield _say("persons", "pass" if persons else "fail", "the source knows persons" if persons else _NOBODY)
    named = {rule.name or "": rule.meaning for rule in entry_of(study).rules}
    required = len(study.cohort.requires)
    at_end = 2 if any(feature.missing == "refused" for feature in study.features) else 1
    asked = len(flow) - at_end - required
    for place, step in enumerate(flow[1 : len(flow) - at_end], start=1):
        before = flow[place - 1].persons
        if place >= asked:
            requirement = study.cohort.requires[place - asked]
            name, meaning = f"requirement {requirement.field}", requirement.meaning or requirement.field
        elif step.step in named:
            name, meaning = f"rule {step.step}", named[step.step] or step.step
        else:
            name, meaning = ("entry" if step.step == ENTRY_EVENT else f"entry: {step.step}"), step.step
        yield _step(name, meaning, before, step.persons)


_NOBODY = "the source knows no person; export it again, or name another place"


def _step(name: str, meaning: str, before: int, after: int) -> Requirement:
    if not before:
        return _say(name, "not evaluated", "nobody was left to judge")
    if not after:
        return _say(name, "fail", f"nobody fulfils '{meaning}'; check that the codes of the study are those used here")
    return _say(name, "pass", meaning)


def judge_end(study: Study, counts: Counts) -> Iterator[Requirement]:
    """Judge the cohort's size and its label."""
    yield cohort_size(counts)
    name = f"label {study.label.name}"
    unknown = counts.whole - counts.persons
    if not counts.whole:
        yield _say(name, "not evaluated", "nobody is left to have an outcome")
    elif not counts.persons or (counts.whole >= ENOUGH and unknown > 0.5 * counts.whole):
        part = share(unknown, counts.whole) if counts.persons else "all"
        yield _say(name, "fail", f"the outcome is unknown for {part}: {_LOST}; check the observation periods")
    elif counts.events in (0, counts.persons):
        which = "has" if counts.events else "lacks"
        if counts.persons >= ENOUGH:
            reason = f"everybody {which} the outcome; check that the codes of the outcome are those used here"
            yield _say(name, "fail", reason)
        else:
            reason = "one class only: no model or figure of its own; counts in sums"
            yield _say(name, "pass with exceptions", reason)
    elif unknown:
        reason = f"the outcome is unknown for {share(unknown, counts.whole)}: {_LOST}; they were left out"
        yield _say(name, "pass with exceptions", reason)
    else:
        yield _say(name, "pass", "both classes")


_LOST = "observed no longer, dead by the index date, or by the study's word on competing events"


def _say(name: str, state: State, reason: str) -> Requirement:
    return Requirement(name=name, state=state, reason=reason)
