"""What may be known at the index date: the one filter that every rule and every feature passes through."""

from wardgate.hospital.ward.source.events import Expression


def seen(joined: Expression) -> Expression:
    """Keep of joined events what had happened by the entry's index date, and what never changes and has no time.

    Args:
        joined: Events with `time`, each beside an entry with `index`.
    """
    return joined.filter(joined.time.isnull() | (joined.time <= joined["index"]))
