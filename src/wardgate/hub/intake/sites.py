"""One site's side: its log, leaf by leaf, against its signed head; its openings, attempts and spending."""

import json
from collections.abc import Sequence
from typing import Any

from wardgate.computations.definitions.statistics import PREVALENCE
from wardgate.hub import layout
from wardgate.hub.intake.conversation import Answered, Conversation
from wardgate.hub.intake.evidence import check_noise_source
from wardgate.hub.intake.reading import Folder
from wardgate.policy.decision import decide
from wardgate.records.canonical import canonical, number_of
from wardgate.records.envelope import unseal
from wardgate.records.errors import Broken
from wardgate.records.log import MerkleLog
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence


def check_sites(folder: Folder, talk: Conversation, study: Study) -> None:
    """Check every site's log and counters against its own signed answers."""
    for site, given in talk.answers.items():
        closing = next((one for one in given if one.answer.computation == "close"), None)
        if closing is None:
            if site in talk.dropped:
                folder.notes.append(f"{site} dropped out or left, and never closed: its own log is not here")
                continue
            _check_absent(folder, site, given)
            continue
        with folder.at(layout.log_path(site)):
            leaves = layout.split_lines(folder.read(layout.log_path(site)), where="the log")
            check_head(leaves, str(closing.answer.statement["checkpoint"]), origin=f"wardgate/site/{site}")
            _Log(leaves=leaves, study=study).follow(given)
            folder.count("logs of sites")
        with folder.at(f"{layout.records_path(site)}, its closing answer"):
            _check_openings(given, study, said=int(closing.answer.statement["locked_test_opens"]))
            _check_spending(given, study, closing)


def check_hub_head(folder: Folder) -> None:
    """Check the hub's log against its signed head."""
    with folder.at(layout.CHECKPOINT):
        statement = unseal(folder.read(layout.CHECKPOINT), keys=(folder.keys[layout.HUB],))
        said = statement.predicate
        if statement.predicate_type != layout.HUB_HEAD or said["study_sha256"] != folder.study_sha256:
            raise Broken("not the hub's log head of this study")
        if said["noise_source"] != "system":
            raise Broken(
                f"the run was made with noise from '{said['noise_source']}', a repeatable stream for tests; it protects"
                " nobody and is never accepted"
            )
        leaves = layout.split_lines(folder.read(layout.log_path(layout.HUB)), where="the hub's log")
        check_head(leaves, str(said["checkpoint"]), origin="wardgate/hub")
        folder.count("log of the hub")


def check_head(leaves: Sequence[bytes], checkpoint: str, *, origin: str) -> None:
    """Check leaves against a head that was signed.

    Raises:
        Broken: another origin, number of leaves or Merkle root.
    """
    log = MerkleLog(origin=origin)
    for leaf in leaves:
        log.append(leaf)
    if log.checkpoint() != checkpoint:
        parts = checkpoint.split("\n")
        if len(parts) > 1 and parts[1] != str(len(leaves)):
            raise Broken(f"the log has {len(leaves)} leaves, its signed head says {parts[1]}: removed or added")
        raise Broken("the Merkle root of the log is not the one in its signed head: a leaf was altered or moved")


def _check_absent(folder: Folder, site: str, given: Sequence[Answered]) -> None:
    """A site without a closing answer never took part: its review is all that it said."""
    if any(one.answer.statement.get("agreed") is True for one in given) or any(
        one.answer.computation != "review" for one in given
    ):
        folder.find(layout.log_path(site), "the site took part, but its closing answer and its log are missing")
    if layout.log_path(site) in folder.entries:
        folder.find(layout.log_path(site), "a log that no answer of the site signs")


class _Log:
    """Follows a site's log along its own answers: question, attempts at a corpus, answer."""

    def __init__(self, *, leaves: Sequence[bytes], study: Study) -> None:
        self._leaves = list(leaves)
        self._study = study
        self._next = 0
        self._attempts: list[bytes] = []

    def follow(self, given: Sequence[Answered]) -> None:
        """Check that every leaf is one of these answers', and every answer has its leaves.

        Raises:
            Broken: a leaf is missing, added, moved or of another record.
        """
        for one in given:
            number = one.asked.question.number
            self._expect({"event": "question", "sha256": one.asked.sha256}, f"question {number}")
            if one.answer.computation == "corpus":
                self._corpus(one)
            if one.answer.computation == "close":
                break
            leaf = {"event": f"answer:{one.answer.outcome}", "sha256": one.sha256}
            self._expect(leaf, f"its answer to question {number}")
        if self._next != len(self._leaves) or given[-1].answer.computation != "close":
            raise Broken(f"line {self._next + 1}: a leaf, or an answer after the closing one, that nothing explains")

    def _expect(self, leaf: dict[str, Any], what: str) -> None:
        found = self._leaves[self._next] if self._next < len(self._leaves) else b""
        if found != canonical(leaf):
            raise Broken(f"line {self._next + 1}: expected the leaf of {what}, found another")
        self._next += 1

    def _corpus(self, one: Answered) -> None:
        """Each attempt has a leaf with its verdict; where the answer brings evidence, all attempts are judged again."""
        while self._next < len(self._leaves) and _event(self._leaves[self._next]).startswith("corpus:"):
            self._attempts.append(self._leaves[self._next])
            self._next += 1
        if one.answer.evidence is None:
            return
        earlier = [Evidence.from_plain(plain) for plain in one.answer.statement["earlier"]]
        tried = [*earlier, one.answer.evidence]
        numbers = [evidence.attempt for evidence in tried]
        if numbers != sorted(set(numbers)):
            raise Broken(f"attempts at a corpus are numbered {numbers}; they only ever rise")
        for evidence in earlier:
            check_noise_source(evidence)
        expected = [
            canonical(
                {"event": f"corpus:{decide(evidence, self._study.gate).outcome}", "sha256": evidence.fingerprint()}
            )
            for evidence in tried
        ]
        if expected != self._attempts:
            raise Broken(
                f"the log holds {len(self._attempts)} judged attempts at a corpus; the {len(tried)} that the site's"
                f" answer to question {one.asked.question.number} shows, judged again, are not those"
            )


def _event(leaf: bytes) -> str:
    return str(json.loads(leaf)["event"])


def _check_openings(given: Sequence[Answered], study: Study, *, said: int) -> None:
    limit = study.acceptance.locked_test_opens
    openings: dict[str, int] = {}
    for one in given:
        question, opening = one.asked.question, one.answer.opening
        if question.split != "locked_test" or one.answer.outcome == "refused":
            if opening is not None:
                raise Broken(f"question {question.number} opens no locked test, but its answer counts an opening")
            continue
        models = str(question.parameters["models_sha256"])
        if opening is None or openings.setdefault(models, opening) != opening:
            raise Broken(
                f"the answer to question {question.number} counts opening {opening} of the locked test wrongly"
            )
    if len(set(openings.values())) != len(openings) or not all(0 < number <= said for number in openings.values()):
        raise Broken(f"the openings of the locked test are numbered {sorted(openings.values())}; {said} are stated")
    if said > limit:
        raise Broken(f"the locked test was opened {said} times, the study allows {limit}")


def _check_spending(given: Sequence[Answered], study: Study, closing: Answered) -> None:
    """The closing lines may count what never left, so they may exceed what the answers show, and never fall short."""
    exact: dict[str, int] = {}
    for one in given:
        question, split = one.asked.question, one.asked.question.split
        exact_sum = question.sum is not None and question.sum.noise_multiplier is None
        answers = int(exact_sum)
        if question.computation == "associations":
            answers = 1 + int(PREVALENCE in one.answer.statement.get("figures", {}))
        elif question.computation == "evaluate":
            answers = len(set(question.parameters["models"])) + int("recalibration_records" in one.answer.statement)
        if one.answer.outcome == "released" and answers:
            exact[split] = exact.get(split, 0) + answers
    for line in closing.answer.statement["budget"]:
        split, epsilon = line["split"], number_of(line["epsilon"])
        if not 0 <= epsilon <= study.budget.epsilon_total * (1 + 1e-9):
            raise Broken(f"'{split}' spent epsilon {epsilon:g} of {study.budget.epsilon_total:g}")
        if not exact.pop(split, 0) <= int(line["exact_answers"]) <= study.gate.dp.exact_sum_ration:
            raise Broken(f"the exact answers counted on '{split}' are fewer than were given, or more than the ration")
    if exact:
        raise Broken(f"exact answers on '{min(exact)}' are not in the closing budget")
