"""The engine's door: every certificate that registers is judged by the members' files, not by its chain alone.

The engine knows no revocation list. So its own verifier of identities is wrapped: after chain, common name and proof of
the key, this very certificate must be one that the hub issued to a standing member. A token that was given out before a
revocation would still serve; so revoked names are disabled in the engine as well, and the carriage refuses them.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext

from wardgate.hub.consortium.founding import COORDINATOR, read_certificate, read_hub
from wardgate.hub.consortium.members import check_certificate
from wardgate.hub.home import Home
from wardgate.records.errors import WardgateError

_log = logging.getLogger("wardgate.hub")


class Admission(FLComponent):  # type: ignore[misc]
    """Stands at the server's door from the first who knocks."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Take the place of the engine's verifier before the first client is verified."""
        if event_type != EventType.CLIENT_REGISTER_RECEIVED:
            return
        engine = fl_ctx.get_engine()
        manager = engine.server.client_manager
        found = manager.cred_keeper.get_id_verifier(fl_ctx)
        if found is None or isinstance(found, Doorkeeper):
            return
        home = Home(Path(engine.get_workspace().get_root_dir()).resolve().parent.parent)
        manager.cred_keeper.id_verifier = Doorkeeper(home, found)
        _log.info("the door is kept: certificates are judged by the members' files")


class Doorkeeper:
    """Verifies as the engine does, and then asks the hub.

    Args:
        verifier: The engine's own.
    """

    def __init__(self, home: Home, verifier: Any) -> None:
        self._home = home
        self._verifier = verifier
        self._coordinator = read_hub(home).coordinator

    def verify_common_name(self, asserted_cn: str, nonce: str, asserter_cert: Any, signature: Any, **rest: Any) -> bool:
        """Return True, or raise: what the engine raises, or why the hub refuses."""
        self._verifier.verify_common_name(
            asserted_cn=asserted_cn, nonce=nonce, asserter_cert=asserter_cert, signature=signature, **rest
        )
        try:
            if asserted_cn != self._coordinator or asserter_cert != read_certificate(self._home, COORDINATOR):
                now = datetime.now(UTC)  # noqa: TID251 - the engine makes this class; nobody can hand it a clock
                check_certificate(self._home, asserter_cert.public_bytes(Encoding.PEM), now=now)
        except WardgateError as error:
            _log.warning("refused at the door: %s", error)
            raise
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._verifier, name)
