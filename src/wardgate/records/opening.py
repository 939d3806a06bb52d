"""For which models a locked test is opened: a list that is fixed beforehand, and every question is held to it.

Without the list in the question, one digest could stand for any number of models.
"""

from collections.abc import Mapping
from typing import Any

from wardgate.records.canonical import canonical, sha256
from wardgate.records.errors import Refused
from wardgate.records.messages import Question

LOCAL = "local"
"""Stands for each site's own model, which no question brings."""


def list_of(models: Mapping[str, bytes | None]) -> dict[str, str]:
    """Return the list: name to SHA-256 of the raw coefficients; `local` where each site takes its own."""
    return {name: LOCAL if data is None else sha256(data) for name, data in models.items()}


def digest_of(listed: Mapping[str, Any]) -> str:
    """Return the digest that names a list, and so an opening."""
    return sha256(canonical(dict(listed)))


def check_listed(question: Question) -> str:
    """Return the digest of the question's list of models.

    Raises:
        Refused: there is no list, its digest is another, or the question asks for a model that is not in it.
    """
    listed = question.parameters.get("listed")
    if not isinstance(listed, dict) or not listed:
        raise Refused("the locked test opens only for a fixed list of models, and the question brings none")
    digest = digest_of(listed)
    if question.parameters.get("models_sha256") != digest:
        raise Refused("the list of models is not the one for which the locked test is opened")
    brought = {ref.name: ref.sha256 for ref in question.vectors}
    if len(brought) != len(question.vectors):
        raise Refused("the question brings two vectors under one name")
    single = question.computation == "score_bins"
    names = [question.parameters.get("model")] if single else question.parameters.get("models")
    if not isinstance(names, list) or not names:
        raise Refused("the question names no model")
    if not single and "recalibrate" in question.parameters:
        names = [*names, question.parameters["recalibrate"]]
    for name in names:
        found = LOCAL if name == LOCAL else brought.get("beta" if single else str(name))
        if found is None or listed.get(name) != found:
            raise Refused("the locked test was opened for a fixed list of models, and this one is not in it")
    return digest
