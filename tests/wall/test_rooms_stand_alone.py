"""A room that must not know another works with the other one deleted."""

import pytest

IMPORT_ALL = """
import importlib, pkgutil, sys
import wardgate
assert wardgate.__file__.startswith(sys.argv[1]), wardgate.__file__
room = importlib.import_module(sys.argv[2])
names = [room.__name__]
for found in pkgutil.walk_packages(getattr(room, "__path__", ()), room.__name__ + "."):
    if not found.name.endswith(".__main__"):
        importlib.import_module(found.name)
        names.append(found.name)
forbidden = [name for name in sys.modules if name.startswith(tuple(sys.argv[3:]))]
assert not forbidden, forbidden
print(len(names))
"""

ALONE = (
    pytest.param("wardgate.hub", ("hospital", "federation", "cli", "simulate"), id="the hub without a hospital"),
    pytest.param("wardgate.simulate", ("hospital", "hub", "federation", "cli"), id="simulate without a hospital"),
    pytest.param("wardgate.hospital.wire", ("hospital/ward", "hub", "federation", "cli"), id="the wire without a ward"),
    pytest.param("wardgate.hospital.ward", ("hospital/wire", "hub", "federation", "cli"), id="the ward without a wire"),
    pytest.param("wardgate.papers", ("hospital", "hub", "federation", "cli", "simulate"), id="papers without anybody"),
)


@pytest.mark.parametrize(("room", "deleted"), ALONE)
def test_a_room_imports_with_the_others_deleted(room: str, deleted: tuple[str, ...], copied, python) -> None:
    source = copied(without=deleted)
    names = ["wardgate." + name.replace("/", ".") for name in deleted]
    done = python("-c", IMPORT_ALL, str(source), room, *names, source=source)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1


def test_a_hub_that_needs_a_hospital_does_not_import(copied, python) -> None:
    source = copied(without=("hospital",))
    (source / "wardgate/hub/planted.py").write_text("import wardgate.hospital.ward\n")
    done = python("-c", IMPORT_ALL, str(source), "wardgate.hub", "wardgate.hospital", source=source)
    assert done.returncode != 0
    assert "No module named 'wardgate.hospital'" in done.stderr


def test_a_ward_that_came_in_by_a_back_door_is_seen(copied, python) -> None:
    source = copied(without=("federation", "cli"))
    planted = "import sys\nsys.modules['wardgate.hospital.ward'] = sys\n"
    (source / "wardgate/hub/planted.py").write_text(planted)
    done = python("-c", IMPORT_ALL, str(source), "wardgate.hub", "wardgate.hospital", source=source)
    assert done.returncode != 0
    assert "wardgate.hospital.ward" in done.stderr
