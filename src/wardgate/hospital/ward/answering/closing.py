"""The end of a study: what this hospital spent, and its log."""

from wardgate.hospital.ward.answering.bench import Bench
from wardgate.hospital.ward.gate.candidate import Statement
from wardgate.privacy.budget import SPLITS
from wardgate.records.canonical import text_of


def closing(bench: Bench) -> Statement:
    """Return the budget of each split, the openings of the locked test, and the log with its unsigned head."""
    ledger, log = bench.door.ledger, bench.door.log
    lines = [
        {
            "split": split,
            "epsilon": text_of(ledger.epsilon(split)),
            "exact_answers": ledger.exact_answers(split),
            "parts": list(dict.fromkeys(ledger.parts(split))),
        }
        for split in SPLITS
    ]
    said: dict[str, object] = {
        "budget": lines,
        "locked_test_opens": ledger.openings,
        "checkpoint": log.checkpoint(),
    }
    leaves = b"\n".join(log.leaves) + b"\n"
    return Statement(said=said, smallest_cell=bench.study.gate.small_cells.min_count, blobs=(("log", leaves),))
