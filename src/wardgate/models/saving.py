"""Models as bytes and back: canonical JSON with a schema word, or safetensors for a network, never pickle.

Reading one runs no code of its own.
Files are written by `federation`, which may open them; here are bytes alone.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

from wardgate.models.boosting import BoostingModel
from wardgate.models.linear import LinearModel
from wardgate.models.network import NetworkModel
from wardgate.models.recalibrated import RecalibratedModel
from wardgate.models.survival import CoxModel
from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid

Model = LinearModel | CoxModel | BoostingModel | RecalibratedModel | NetworkModel

KINDS: Mapping[str, type[LinearModel] | type[CoxModel] | type[BoostingModel] | type[RecalibratedModel]] = (
    MappingProxyType(
        {
            "wardgate/model/glm/1": LinearModel,
            "wardgate/model/cox/1": CoxModel,
            "wardgate/model/boosting/1": BoostingModel,
            "wardgate/model/recalibrated/1": RecalibratedModel,
        }
    )
)
"""Every kind of model that is JSON, by its schema word."""

MAX_BYTES = 64 * 2**20


def to_bytes(model: Model) -> bytes:
    """Return the canonical bytes of a model; the same model always gives the same bytes."""
    return model.to_bytes()


def load(data: bytes) -> Model:
    """Read what `to_bytes` wrote.

    Raises:
        Invalid: neither JSON nor safetensors, an unknown schema word, fields that do not fit each other, numbers that
            are not finite, bytes that are not canonical (they would have two digests), or more than 64 MiB.
    """
    if len(data) > MAX_BYTES:
        raise Invalid(f"a model of {len(data)} bytes; expected at most {MAX_BYTES}")
    # The header of a safetensors file begins at its ninth byte; its length, before that, is never a bracket's code.
    if data[8:9] == b"{" and data[:1] != b"{":
        return NetworkModel.from_bytes(data)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Invalid("a model must be a JSON object; the file is cut off or is something else")
    schema = value.get("schema")
    kind = KINDS.get(schema) if isinstance(schema, str) else None
    if kind is None:
        raise Invalid(f"the file names no model that is known here; expected a schema of {', '.join(sorted(KINDS))}")
    if canonical(value) != data:
        raise Invalid("the model's bytes are not canonical JSON: they were changed after it was saved; save it again")
    return kind.from_plain(value)


from_bytes = load
