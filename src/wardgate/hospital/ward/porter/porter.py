"""The porter: takes the hub's mail out of the spool, does what the hospital allowed, and lays the answers there.

One thing at a time, and nothing lost: a parcel leaves `spool/questions` only after whatever it called for is in
`spool/answers` or in the ward's own folder. What comes twice has no effect the second time.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from wardgate.entropy import Entropy
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.ward.answering.kept.folder import Later
from wardgate.hospital.ward.porter.approvals import Approvals, approval_of
from wardgate.hospital.ward.porter.aside import strays
from wardgate.hospital.ward.porter.book import clean
from wardgate.hospital.ward.porter.clerk import Clerk
from wardgate.hospital.ward.porter.decide import resend, send
from wardgate.hospital.ward.porter.heartbeat import Heartbeat
from wardgate.hospital.ward.porter.hindrance import Hindrance, hindrance
from wardgate.hospital.ward.porter.house import House
from wardgate.hospital.ward.porter.private import privately
from wardgate.hospital.ward.porter.register import Files, Proposed, Register
from wardgate.hospital.ward.porter.result import keep_result
from wardgate.hospital.ward.porter.wards import Wards
from wardgate.hospital.ward.porter.words import answer_words, left_of, words_of
from wardgate.records.canonical import sha256
from wardgate.records.envelope import unseal
from wardgate.records.errors import Broken, Invalid, StepFailed
from wardgate.records.mail import Notice, Proposal, open_mail
from wardgate.records.messages import QUESTION, Question, open_answer, open_question
from wardgate.records.parcel import Parcel
from wardgate.road.box import Box

AGAIN_SECONDS = 2.0
"""After which a parcel is tried again that the system, as by a full disk, did not let through."""

LATER_SECONDS = 300.0
"""A full disk or a share that is not mounted is waited for this long, before the hub is told that a step failed."""


@dataclass(slots=True, kw_only=True)
class Porter:
    """One hospital's porter.

    Attributes:
        house: Whose.
        clock: Now, as an ISO date and time in UTC.
        ticks: Seconds, monotonic.
        entropy: For keys, noise and references.
    """

    house: House
    clock: Callable[[], str]
    ticks: Callable[[], float]
    entropy: Entropy
    _spool: FolderSpool = field(init=False)
    _register: Register = field(init=False)
    _approvals: Approvals = field(init=False)
    _clerk: Clerk = field(init=False)
    _heart: Heartbeat = field(init=False)
    _wards: Wards = field(init=False)
    _studies: dict[str, tuple[Files, Proposed]] = field(init=False, default_factory=dict)
    _held: set[str] = field(init=False, default_factory=set)
    _stuck: dict[str, tuple[float, str]] = field(init=False, default_factory=dict)
    _late: dict[str, float] = field(init=False, default_factory=dict)
    _people: object = field(init=False, default=None)

    def __post_init__(self) -> None:
        premises = self.house.premises
        for folder in (premises.studies, premises.memory, premises.spool):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._spool = FolderSpool(premises.spool)
        self._wards = Wards(house=self.house, spool=self._spool, entropy=self.entropy)
        self._register = Register(premises)
        self._approvals = Approvals(premises.ward)
        self._clerk = Clerk(
            house=self.house,
            spool=self._spool,
            clock=self.clock,
            knows=lambda study_sha256: self._study(study_sha256) is not None,
        )
        self._heart = Heartbeat(path=premises.spool / "ward.alive", site=self.house.site)

    def serve(self, pause: Callable[[bool], bool]) -> None:
        """Work until told to stop; what is in hand is finished first.

        Args:
            pause: Told whether there was work; waits a moment where there was none. True ends the serving.

        Raises:
            Invalid: another process serves this folder.
            Broken: the book, the decisions or the approvals cannot be read.
        """
        with self._alone():
            try:
                while not pause(self.step()):
                    pass
            finally:
                self.close()

    def close(self) -> None:
        """Let go of every study, so that another porter may work here."""
        self._wards.close_all()

    def step(self) -> bool:
        """Take up the oldest parcel that can be dealt with; say whether there was one."""
        self._look_for_people()
        for name in self._box.names():
            if name in self._held or self._stuck.get(name, (0.0, ""))[0] > self.ticks():
                continue
            self._try(name)
            return True
        for path in strays(self.house.premises.spool / "questions"):
            with suppress(OSError):
                self._clerk.put_aside(path.name, "a file in the spool is not named as parcels are")
        self._beat(next((f"stuck: {words}" for _, words in self._stuck.values()), "waiting"))
        return False

    @property
    def _box(self) -> Box:
        return self._spool.box("questions")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.house.premises.ward / "porter.lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken = False
            except OSError:
                taken = True
            if taken:
                raise Invalid(
                    f"another process serves the ward of {self.house.premises.root}; end it first, two would answer"
                    " one question twice"
                )
            yield

    def _look_for_people(self) -> None:
        """Take up what waits once people have said something, and send decisions that are not surely on their way."""
        found = self._register.state, self._approvals.state
        if found == self._people:
            return
        self._held.clear()
        unsent = [study for study in self._register.all() if study.unsent]
        for study in unsent:
            with suppress(OSError):
                send(self.house, study.proposal.study_sha256)
        self._people = None if unsent else found

    def _try(self, name: str) -> None:
        """Deal with one parcel; whatever happens, the next one gets its turn."""
        self._stuck.pop(name, None)
        try:
            self._deal(name)
            self._late.pop(name, None)
        except OSError as error:
            self._stuck[name] = self.ticks() + AGAIN_SECONDS, str(error.strerror)
        except Later as failure:
            self._stuck[name] = self.ticks() + AGAIN_SECONDS, str(failure)

    def _deal(self, name: str) -> None:
        try:
            parcel = self._box.read(name)
        except Broken as error:
            if self._box.holds(name):
                self._clerk.put_aside(f"{name}.parcel", str(error))
            return
        question: Question | None = None
        try:
            if unseal(parcel.envelope, keys=(self.house.hub_key,)).predicate_type == QUESTION:
                question = open_question(parcel.envelope, hub_key=self.house.hub_key)
                self._asked(name, parcel, question)
            else:
                self._mail(parcel)
                self._box.remove(name)
        except Broken as error:
            self._clerk.refute(name, parcel, str(error), question)
        except StepFailed as failure:
            if question is None:
                raise RuntimeError("only questions have steps") from None
            if isinstance(failure, Later) and self.ticks() - self._late.setdefault(name, self.ticks()) < LATER_SECONDS:
                raise
            self._clerk.stand(question, sha256(parcel.envelope), "failed", failure.reference)
            self._box.remove(name)

    def _mail(self, parcel: Parcel) -> None:
        mail, subjects = open_mail(parcel.envelope, key=self.house.hub_key)
        if isinstance(mail, Proposal):
            self._proposal(parcel, mail)
        elif isinstance(mail, Notice):
            self._notice(parcel, mail, subjects)
        else:
            raise Broken("the hub sends questions, proposals and notices; this is a hospital's word")

    def _proposal(self, parcel: Parcel, proposal: Proposal) -> None:
        study, new = self._register.keep(parcel, proposal)
        if new:
            self._clerk.note(
                "proposal",
                f"The hub proposes study {study.name}, '{clean(study.study.title, most=200)}', to"
                f" {len(proposal.members)} hospitals; code {proposal.code}",
                study=proposal.study_sha256,
                subject=study.sha256,
            )
        elif study.decisions:
            resend(self.house, study.decisions[-1])

    def _notice(self, parcel: Parcel, notice: Notice, subjects: tuple[tuple[str, str], ...]) -> None:
        study = self._study(notice.study_sha256)
        if study is None:
            raise Broken("a notice of a study that was never proposed to this hospital")
        because = f": {clean(notice.reason)}" if notice.reason else ""
        if self._clerk.note(
            "notice",
            f"The hub says that study {study.name} is {notice.event}{because}",
            study=notice.study_sha256,
            subject=sha256(parcel.envelope),
        ):
            self._register.decisions(notice.study_sha256).append({"notice": notice.plain()})
        if parcel.blobs:
            keep_result(self._register.folder(notice.study_sha256), parcel, notice, subjects)
        if notice.event != "running":
            self._wards.close(notice.study_sha256)

    def _asked(self, name: str, parcel: Parcel, question: Question) -> None:
        log = self.house.premises.ward / "private.log"
        what = question.computation
        privately(what, lambda: self._question(name, parcel, question), log=log, entropy=self.entropy)

    def _question(self, name: str, parcel: Parcel, question: Question) -> None:
        study = self._study(question.study_sha256)
        why = hindrance(question, parcel, study=study, house=self.house, approvals=self._approvals)
        if study is None or (why is not None and why.state == "broken"):
            raise Broken("no study" if why is None else why.words)
        if why is not None and why.state != "never":
            self._hold(name, parcel, question, why)
            return
        asked, refusal = sha256(parcel.envelope), "" if why is None else why.words
        self._clerk.note(
            "question",
            words_of(question),
            study=question.study_sha256,
            subject=asked,
            question=asked,
            computation=question.computation,
            split=question.split,
            approval=approval_of(question),
        )
        self._beat(f"answering {question.computation}")
        self._answer(parcel, question, study, asked=asked, refusal=refusal)
        if refusal:
            self._clerk.stand(question, asked, "never", refusal)
        self._box.remove(name)

    def _answer(self, parcel: Parcel, question: Question, study: Proposed, *, asked: str, refusal: str) -> None:
        """Let the ward answer, write what left into the book, and lay it into the spool."""
        ward = self._wards.of(study, on=self.clock()[:10])
        if refusal and not ward.stands and question.computation != "review":
            self._clerk.note(
                "answer",
                f"Refused: {refusal}",
                study=question.study_sha256,
                subject=asked,
                question=asked,
                left="nothing",
            )
            return
        given = ward.reply(parcel, refusal=refusal)
        answer = open_answer(given.envelope, site_key=self.house.signer.public_key)
        claim = None if answer.evidence is None else answer.evidence.claim
        self._clerk.note(
            "answer",
            answer_words(answer, question, size=given.size),
            study=question.study_sha256,
            subject=asked,
            question=asked,
            computation=question.computation,
            split=question.split,
            left=left_of(answer),
            exact=claim is not None and claim.kind == "exact",
            sites=0 if question.sum is None else len(question.sum.roster),
            bytes=given.size,
        )
        self._spool.put("answers", given)

    def _hold(self, name: str, parcel: Parcel, question: Question, why: Hindrance) -> None:
        """Say once why a question waits, and leave it where it is until people say something."""
        asked = sha256(parcel.envelope)
        self._clerk.stand(question, asked, why.state, why.words)
        self._held.add(name)

    def _study(self, study_sha256: str) -> Proposed | None:
        """Return a study as its files stand now."""
        state = self._register.state_of(study_sha256)
        known = self._studies.get(study_sha256)
        if known is None or known[0] != state:
            found = self._register.find(study_sha256)
            if found is None:
                return None
            known = self._studies[study_sha256] = state, found
        return known[1]

    def _beat(self, state: str) -> None:
        self._heart.beat(self.clock, self.ticks(), state=state, studies=len(self._wards), held=len(self._held))
