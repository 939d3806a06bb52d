"""The whole conversation again: every record in the order of the hub's log, each verified, placed and judged anew.

It walks the hub's log and takes the next line of the party that the leaf names, so that no record can be missing,
moved or added. Of each record only what later checks need is kept: a run of hundreds of hospitals holds tens of
thousands.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from wardgate.computations.menu import read
from wardgate.hub import layout
from wardgate.hub.intake.admit import admit
from wardgate.hub.intake.asked import check_roster, check_terms, introduction, persons_of, silent, unanswered
from wardgate.hub.intake.evidence import check_evidence
from wardgate.hub.intake.reading import Folder
from wardgate.hub.intake.recount import Opened, plan_of, recounted, unmasked
from wardgate.hub.intake.recovered import batch_of, check_slot_used_once, reopen
from wardgate.hub.intake.vectors import Vectors
from wardgate.records.bands import at_least
from wardgate.records.canonical import canonical, sha256
from wardgate.records.envelope import Statement, unseal
from wardgate.records.errors import Broken
from wardgate.records.messages import (
    ANSWER,
    QUESTION,
    SUM,
    Answer,
    OpenedSum,
    Question,
    RosterEntry,
    open_answer,
    read_roster,
)
from wardgate.records.opening import check_listed
from wardgate.records.parcel import Parcel, VectorRef
from wardgate.records.study import Study
from wardgate.sums.plan import total


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question that the hub signed, the bytes that went with it, and the persons at least whom its sum touches."""

    question: Question
    sha256: str
    bytes: int
    persons: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer that a site signed, the question it answers, and the bytes that left."""

    answer: Answer
    sha256: str
    bytes: int
    asked: Asked


@dataclass(slots=True, kw_only=True)
class Conversation:
    """Everything that was said, as far as later checks need it.

    Attributes:
        asked: Questions by digest, in their order.
        answers: By site, in their order.
        given: By question and site.
        opened: Sums that the hub opened, recounted.
        persons: At least, of each site that takes part, by the band that it signed.
        joint_certificate: Digest of the joint corpus's certificate as the hub's log names it.
        dropped: Sites that are missing in a sum that opened without them.
        whole: Whether the log was followed to its end.
    """

    asked: dict[str, Asked] = field(default_factory=dict)
    answers: dict[str, list[Answered]] = field(default_factory=dict)
    given: dict[str, dict[str, Answered]] = field(default_factory=dict)
    opened: list[Opened] = field(default_factory=list)
    persons: dict[str, float] = field(default_factory=dict)
    joint_certificate: str = ""
    dropped: set[str] = field(default_factory=set)
    whole: bool = False


def follow(folder: Folder, study: Study) -> Conversation:
    """Verify every record of the run in the order of the hub's log."""
    walk = _Walk(folder=folder, study=study)
    with folder.at(layout.log_path(layout.HUB)):
        leaves = layout.split_lines(folder.read(layout.log_path(layout.HUB)), where="the hub's log")
        if walk.start():
            walk.talk.whole = all(walk.step(number, leaf) for number, leaf in enumerate(leaves, start=1))
    if walk.talk.whole:
        walk.end()
    return walk.talk


@dataclass(slots=True, kw_only=True)
class _Walk:
    folder: Folder
    study: Study
    talk: Conversation = field(default_factory=Conversation)
    lines: dict[str, Iterator[tuple[int, bytes]]] = field(default_factory=dict)
    vectors: Vectors = field(init=False)
    closed: set[str] = field(default_factory=set)
    introduced: dict[str, RosterEntry] = field(default_factory=dict)
    rosters: dict[str, frozenset[str]] = field(default_factory=dict)
    slots: set[tuple[str, int]] = field(default_factory=set)

    def start(self) -> bool:
        """Open every party's records; say whether all are there."""
        envelopes: set[str] = set()
        for party in self.folder.keys:
            where = layout.records_path(party)
            with self.folder.at(where):
                found = layout.split_lines(self.folder.read(where), where="the records")
                envelopes.update(sha256(line) for line in found)
                self.lines[party] = iter(enumerate(found, start=1))
        self.talk.answers = {party: [] for party in self.folder.keys if party != layout.HUB}
        self.vectors = Vectors(folder=self.folder, envelopes=envelopes)
        return len(self.lines) == len(self.folder.keys) and self.vectors.open()

    def step(self, number: int, leaf: bytes) -> bool:
        """Follow one leaf of the hub's log; say whether the next can be followed."""
        where = f"{layout.log_path(layout.HUB)} line {number}"
        try:
            event, party, digest = _leaf(leaf)
        except Broken as error:
            self.folder.find(where, str(error))
            return False
        if event == "certificate" and party == layout.HUB and not self.talk.joint_certificate:
            self.talk.joint_certificate = digest
            return True
        if party not in self.lines:
            self.folder.find(where, f"names a record of '{party}', who is not in the roster")
            return False
        place, line = next(self.lines[party], (0, b""))
        here = f"{layout.records_path(party)} line {place}"
        if not place:
            self.folder.find(layout.records_path(party), f"ends before a record that the hub's log names ({where})")
            return False
        try:
            statement = _opened(line, party, self.folder.keys[party])
            if sha256(line) != digest:
                raise Broken(f"is not the record that the hub's log names here ({where}): removed, added or moved")
        except Broken as error:
            self.folder.find(here, str(error))
            return False
        with self.folder.at(here):
            self._record(statement, line, event, party, here)
        return True

    def end(self) -> None:
        """Nothing may be left over."""
        for party, rest in self.lines.items():
            if (place := next(rest, (0, b""))[0]) != 0:
                self.folder.find(
                    f"{layout.records_path(party)} line {place}", "the hub's log does not name this record"
                )
        self.vectors.end()
        if self.study.drop_out is not None:
            self.talk.dropped |= {site for site in self.introduced if not self._met(site)}
        if self.folder.between_machines:
            self.talk.dropped |= {site for site in self.talk.answers if not self._answered(site, "close")}
            self._note_silence()
        for asked in self.talk.asked.values():
            outcomes = {site: one.answer.outcome for site, one in self.talk.given[asked.sha256].items()}
            problem = unanswered(
                asked.question,
                outcomes,
                opened=asked.sha256 not in self.closed,
                taking_part=self.introduced.keys() - self.talk.dropped,
                study=self.study,
                between_machines=self.folder.between_machines,
            )
            if problem:
                self.folder.find(f"question {asked.question.number} ({asked.question.computation})", problem)

    def _met(self, site: str) -> bool:
        """Whether a site answered a roster. One that never did took part in nothing."""
        return self._answered(site, "roster")

    def _answered(self, site: str, computation: str) -> bool:
        return any(one.answer.computation == computation for one in self.talk.answers[site])

    def _note_silence(self) -> None:
        """Say whose answers are missing; a run between machines cannot tell why."""
        asked = [
            silent(one.question, self.talk.given[one.sha256], taking_part=self.introduced, study=self.study)
            for one in self.talk.asked.values()
        ]
        sites = sorted(set().union(*asked))
        if sites:
            self.folder.notes.append(
                f"{sum(map(bool, asked))} questions have no answer of {', '.join(sites[:5])}"
                f"{' and others' if len(sites) > 5 else ''}; whether a hospital fell silent or left, or its answer was"
                " left out, cannot be told from the run"
            )

    def _record(self, statement: Statement, line: bytes, event: str, party: str, here: str) -> None:
        refs = layout.refs_of(statement)
        blobs = [self.vectors.take(ref, here) for ref in refs]
        if statement.predicate.get("study_sha256") != self.folder.study_sha256:
            raise Broken("names another study than the run's")
        if (event, statement.predicate_type) not in EVENTS or (party == layout.HUB) == (event == "answer"):
            raise Broken(f"'{party}' keeps a record of type {statement.predicate_type} as '{event}'")
        subjects = tuple((ref.name, ref.sha256) for ref in refs) or (("study", self.folder.study_sha256),)
        if statement.subjects != subjects:
            raise Broken("its signed subjects are not the vectors that it names")
        if event == "question":
            self._question(Question.from_plain(statement.predicate), line, blobs)
        elif event == "answer":
            self._answer(line, refs, blobs, party)
        else:
            self._sum(OpenedSum.from_plain(statement.predicate), blobs)

    @property
    def bands(self) -> dict[str, str]:
        """Persons of each site that takes part, as it signed them."""
        return {site: entry.persons_band for site, entry in self.introduced.items()}

    def _question(self, question: Question, line: bytes, blobs: list[bytes | None]) -> None:
        number = len(self.talk.asked) + 1
        digest, size = sha256(line), len(line) + sum(layout.size_of(ref) for ref in question.vectors)
        persons = persons_of(question, study=self.study, bands=self.bands)
        # Kept before it is checked: an answer to a question that does not hold is still an answer to it.
        self.talk.asked[digest] = Asked(question=question, sha256=digest, bytes=size, persons=persons)
        self.talk.given[digest] = {}
        self.folder.count("questions")
        if question.number != number:
            raise Broken(f"question number {question.number}, expected {number}: numbers rise by one")
        if question.split == "locked_test":
            check_listed(question)
        if question.computation == "roster":
            self._roster(question, blobs)
        if question.sum is not None:
            self.closed.add(digest)
            if question.sum.roster_sha256 not in self.rosters:
                raise Broken("a sum under a roster that no question before it introduced")
            check_slot_used_once(question.sum, self.slots)
            check_terms(question, study=self.study, keys=self.folder.keys, bands=self.bands, rosters=self.rosters)

    def _roster(self, question: Question, blobs: list[bytes | None]) -> None:
        """Check the roster; one roster goes to many sites, so each is checked once."""
        if not question.vectors or question.vectors[0].name != "roster":
            raise Broken("the question brings no roster")
        if blobs[0] is not None and question.vectors[0].sha256 not in self.rosters:
            entries = read_roster(blobs[0])
            self.rosters[question.vectors[0].sha256] = frozenset(entries)
            check_roster(entries, self.introduced)

    def _answer(self, line: bytes, refs: tuple[VectorRef, ...], blobs: list[bytes | None], site: str) -> None:
        answer = open_answer(line, site_key=self.folder.keys[site])
        asked = self.talk.asked.get(answer.question_sha256)
        if asked is None:
            raise Broken("answers a question that the hub did not sign before it")
        if site in self.talk.given[asked.sha256]:
            raise Broken(f"answers question {asked.question.number} a second time")
        size = len(line) + sum(layout.size_of(ref) for ref in refs)
        kept = answer if answer.computation == "corpus" else answer.model_copy(update={"evidence": None})
        given = Answered(answer=kept, sha256=sha256(line), bytes=size, asked=asked)
        self.talk.answers[site].append(given)
        self.talk.given[asked.sha256][site] = given
        entry = introduction(answer, envelope_sha256=given.sha256, key=self.folder.keys[site])
        if entry is not None and site not in self.introduced:
            self.introduced[site] = entry
            self.talk.persons[site] = at_least(entry.persons_band)
        self.folder.count("answers")
        check_evidence(answer, asked.question, persons=asked.persons, step=self.study.gate.small_cells.rounding)
        present = [blob for blob in blobs if blob is not None]
        if len(present) != len(blobs):
            return
        admit(
            Parcel(line, tuple(present)),
            site=site,
            key=self.folder.keys[site],
            question=asked.question,
            question_sha256=asked.sha256,
            study=self.study,
            study_sha256=self.folder.study_sha256,
        )
        self.folder.count("decisions of the policy", int(answer.evidence is not None))

    def _sum(self, record: OpenedSum, blobs: list[bytes | None]) -> None:
        asked = self.talk.asked.get(record.question_sha256)
        if asked is None or asked.question.sum is None or asked.sha256 not in self.closed:
            raise Broken("opens a sum that no question before it asked for, or opens it twice")
        self.closed.remove(asked.sha256)
        question, terms = asked.question, asked.question.sum
        given = self.talk.given[asked.sha256]
        found = {site: one.sha256 for site, one in given.items() if site in record.answers}
        whole = set(given) == set(record.answers) == set(terms.roster)
        if record.answers != found or not (whole or terms.slot is not None):
            raise Broken("the sum is not over the answers of its roster")
        batch = batch_of(terms, self.talk.asked, study=self.study)
        brought = [self.vectors.known(ref) for ref in question.vectors]
        plan = plan_of(question, question_sha256=asked.sha256, blobs=brought, batch=batch, study=self.study)
        refs = {site: _masked(given[site].answer) for site in record.answers}
        masked = unmasked(plan, {site: (ref, self.vectors.known(ref)) for site, ref in refs.items()})
        opened = (
            total(plan, masked)
            if batch is None
            else reopen(
                record, plan, masked=masked, asked=self.talk.asked, given=self.talk.given, known=self.vectors.known
            )
        )
        l2 = read(question, brought).shape(self.study).l2
        self.talk.opened.append(recounted(record, opened, question=question, stated=blobs[0], l2=l2))
        if batch is not None:
            self.talk.dropped |= set(batch.roster) - set(record.answers)
        self.folder.count("sums, recomputed from the masked answers")


EVENTS = {("question", QUESTION), ("answer", ANSWER), ("sum", SUM)}


def _opened(line: bytes, party: str, key: bytes) -> Statement:
    """Verify a record. A site's is opened as an answer, which is remembered: it is needed again to admit it."""
    if party == layout.HUB:
        return unseal(line, keys=(key,))
    open_answer(line, site_key=key)
    return layout.peek(line)


def _masked(answer: Answer) -> VectorRef:
    ref = next((ref for ref in answer.vectors if ref.name == "masked"), None)
    if ref is None:
        raise Broken(f"the answer of {answer.site} holds no masked vector")
    return ref


def _leaf(leaf: bytes) -> tuple[str, str, str]:
    try:
        plain = json.loads(leaf)
        if canonical(plain) != leaf or set(plain) != {"event", "party", "sha256"}:
            raise Broken("not a leaf of the hub's log")
        return str(plain["event"]), str(plain["party"]), str(plain["sha256"])
    except (ValueError, TypeError) as error:
        raise Broken("not a leaf of the hub's log") from error
