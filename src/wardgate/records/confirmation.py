"""What a survivor of a sum signs: the list of survivors, by its digest, in its own name."""


def confirmed_bytes(survivors_digest: bytes, *, site: str) -> bytes:
    """Return the bytes that `site` signs with its long-term key to confirm a list of survivors.

    Args:
        survivors_digest: 32 bytes that name the plan and the list (sums/survivors.py).
    """
    return b"wardgate/confirm/1\x00" + survivors_digest + site.encode()
