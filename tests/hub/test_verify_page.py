"""The page on checking a run names what lies in one."""

import re
from pathlib import Path

from wardgate.hub import layout


def test_every_kind_of_file_of_a_run_is_on_the_page(root: Path, small, whole: Path) -> None:
    text = (root / "docs/verify.md").read_text()
    parties, corpora = ("hub", *small.finished.run.study.sites), tuple(small.finished.run.corpora)
    for path in sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()):
        general = re.sub(rf"^evidence/({'|'.join(parties)})/(records|log)\.jsonl$", r"evidence/PARTY/\2.jsonl", path)
        general = re.sub(rf"^commons/({'|'.join(corpora)})\.", "commons/NAME.", general)
        assert f"`{general}`" in text, path
    assert f"`{layout.CHECKPOINT}`" in text and "--key" in text and "--json" in text
