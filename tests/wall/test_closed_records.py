"""What may cross the wall is frozen and closed: nothing can be changed after it was signed, nothing slipped in."""

import importlib
import pkgutil
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

import wardgate.records
from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured
from wardgate.records.record import Record

FREE_FORM = {
    "Question.parameters": "public parameters of one computation; written by the hub, which has no patients",
    "Answer.statement": "what is said beside the vectors; the gate judges it before it is signed",
}
"""Fields that hold any JSON, with the reason. The canary test watches them; a new one needs a reason here."""


def _open_places(model: type[BaseModel]) -> list[str]:
    """Return what is open about a model: its configuration, or a field that would take anything."""
    found = []
    if model.model_config.get("frozen") is not True:
        found.append("not frozen")
    if model.model_config.get("extra") != "forbid":
        found.append("takes unknown fields")
    for name, field in model.model_fields.items():
        if _anything(field.annotation) and f"{model.__name__}.{name}" not in FREE_FORM:
            found.append(f"field '{name}' takes anything")
    return found


def _anything(annotation: Any) -> bool:
    return annotation in (Any, object, dict, list) or any(_anything(part) for part in get_args(annotation))


def _models() -> list[type[BaseModel]]:
    for module in pkgutil.walk_packages(wardgate.records.__path__, "wardgate.records."):
        importlib.import_module(module.name)
    found: list[type[BaseModel]] = []
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        for model in waiting.pop().__subclasses__():
            waiting.append(model)
            if model.__module__.startswith("wardgate.records.") and model not in found:
                found.append(model)
    return sorted(found, key=lambda model: (model.__module__, model.__qualname__))


MODELS = _models()


def test_the_walk_finds_the_records_and_the_parts_of_the_results() -> None:
    names = {model.__name__ for model in MODELS}
    assert {"Study", "Evidence", "Verdict", "Claim", "Results", "SiteFigure", "Left"} <= names


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.__module__.rpartition('.')[2]}.{model.__name__}")
def test_a_record_type_is_frozen_and_closed(model: type[BaseModel]) -> None:
    assert _open_places(model) == []


def test_open_types_are_found() -> None:
    class Loose(BaseModel):
        anything: dict[str, Any]

    class Thawed(Record):
        model_config = ConfigDict(frozen=False)

    class Taking(Record):
        model_config = ConfigDict(extra="allow")

    assert len(_open_places(Loose)) == 3
    assert _open_places(Thawed) == ["not frozen"]
    assert _open_places(Taking) == ["takes unknown fields"]


def test_a_record_cannot_be_changed_or_widened() -> None:
    plain = {"name": "membership.auc", "value": "0.5", "low": "0.4", "high": "0.6"}
    measured = Measured.from_plain(plain)
    with pytest.raises(ValidationError, match="frozen"):
        measured.value = 0.9
    with pytest.raises(Invalid, match="row"):
        Measured.from_plain({**plain, "row": "a patient"})
    with pytest.raises(Invalid) as refused:
        Measured.from_plain({**plain, "value": "CANARY"})
    assert "CANARY" not in str(refused.value)
