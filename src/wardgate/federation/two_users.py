"""A hospital's folder divided between two users of one machine, so that the system itself keeps ward and wire apart."""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from wardgate.hospital.premises import Premises
from wardgate.records.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Two users of this machine between whom a hospital's folder is divided, and the group that both belong to."""

    ward: str
    wire: str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Numbers of the users, each with a group of its own, and of the group that shares the spool."""

    ward: tuple[int, int]
    wire: tuple[int, int]
    shared: int


def owners_of(users: Users) -> Owners:
    """Return the numbers of two users who may share a hospital's folder.

    Raises:
        Invalid: not run by root, no such user or group, one user for both, or one who is not in the group.
    """
    if os.geteuid() != 0:
        raise Invalid("only root can divide a hospital's folder between two users; run this with sudo")
    try:
        ward, wire = pwd.getpwnam(users.ward), pwd.getpwnam(users.wire)
        group = grp.getgrnam(users.group)
    except KeyError as error:
        raise Invalid(f"this machine has no such user or group: {error.args[0]}") from None
    if ward.pw_uid == wire.pw_uid or 0 in (ward.pw_uid, wire.pw_uid):
        raise Invalid("ward and wire need two users, neither of them root: nothing would lie between them")
    for user in (ward, wire):
        if user.pw_gid != group.gr_gid and user.pw_name not in group.gr_mem:
            raise Invalid(
                f"user '{user.pw_name}' is not in group '{users.group}', through which the spool is shared:"
                f" usermod --append --groups {users.group} {user.pw_name}"
            )
    return Owners(ward=(ward.pw_uid, ward.pw_gid), wire=(wire.pw_uid, wire.pw_gid), shared=group.gr_gid)


def divide(premises: Premises, owners: Owners) -> None:
    """Give ward and wire what is theirs; the spool's folders pass their group on to what is written in them."""
    for top, (user, group) in ((premises.ward, owners.ward), (premises.wire, owners.wire)):
        for folder, _, files in os.walk(top):
            for path in (Path(folder), *(Path(folder) / name for name in files)):
                os.chown(path, user, group)
    shared = (premises.spool, *(premises.spool / name for name in ("questions", "answers", "partial")))
    for path in shared:
        os.chown(path, owners.ward[0], owners.shared)
        path.chmod(0o2770)
    os.chown(premises.root, 0, owners.shared)
    premises.root.chmod(0o2750)
