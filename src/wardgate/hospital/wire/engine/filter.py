"""What a task may return to the hub through the engine: nothing but that it ended.

Answers travel as signed parcels, checked by the border. So whatever a task returns, an empty word goes out instead.
"""

from nvflare.apis.filter import Filter
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, ReturnCode, Shareable, make_reply

_KEPT = (ReservedHeaderKey.TASK_NAME, ReservedHeaderKey.TASK_ID, ReservedHeaderKey.COOKIE_JAR)
"""Headers by which the engine knows which task ended: its own words, given by the hub."""


class Nothing(Filter):  # type: ignore[misc]
    """Replaces every result: by an empty OK for an ended carriage, by an empty refusal for anything else.

    It never raises, since a filter that raises fails the job in ways of the engine's own.
    """

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """Return an empty result that holds nothing of the given one but the engine's own headers."""
        ended = isinstance(shareable, Shareable) and shareable.get_return_code() == ReturnCode.OK
        headers = {key: shareable.get_header(key) for key in _KEPT} if isinstance(shareable, Shareable) else {}
        reply = make_reply(
            ReturnCode.OK if ended and headers.get(_KEPT[0]) == "carry" else ReturnCode.EXECUTION_EXCEPTION
        )
        for key, value in headers.items():
            if value is not None:
                reply.set_header(key, value)
        return reply
