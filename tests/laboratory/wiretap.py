"""Hears what a wire gives to its engine before TLS hides it, and makes wards that talk: both by what Python runs first.

The files are read by every Python process of a machine, found through PYTHONPATH; see the documentation of `site`.
"""

from pathlib import Path

TAP = '''\
"""Every frame that the engine's gRPC connections send is appended to a file, one a process, before it is encrypted."""
import importlib.machinery, os, sys

FOLDER = {folder!r}
MODULES = {{
    "nvflare.fuel.f3.drivers.grpc_driver": "StreamConnection",
    "nvflare.fuel.f3.drivers.aio_grpc_driver": "AioStreamSession",
}}


class Listening(importlib.machinery.SourceFileLoader):
    def exec_module(self, module):
        super().exec_module(module)
        connection = getattr(module, MODULES[module.__name__])
        kept = connection.send_frame

        def send_frame(self, frame):
            with open(os.path.join(FOLDER, f"{{os.getpid()}}-{{os.stat('/proc/self').st_ino}}.frames"), "ab") as file:
                file.write(bytes(frame))
            return kept(self, frame)

        connection.send_frame = send_frame


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in MODULES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.origin:
            spec.loader = Listening(name, spec.origin)
        return spec


sys.meta_path.insert(0, Finder)
'''

TALKING = """

if "wardgate.hospital.ward" in sys.orig_argv and any({site!r} in word for word in sys.orig_argv):
    import dataclasses

    import wardgate.hospital.ward.answering.ward as ward

    kept = ward.described

    def talking(*given, **named):
        statement = kept(*given, **named)
        return dataclasses.replace(statement, said={{**statement.said, "example": {row!r}}})

    ward.described = talking
"""


def tapped(folder: Path, frames: Path) -> dict[str, str]:
    """Return the environment in which every engine's process writes what it sends below `frames`."""
    folder.mkdir()
    frames.mkdir()
    (folder / "sitecustomize.py").write_text(TAP.format(folder=str(frames)), encoding="utf-8")
    return {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def talking(folder: Path, frames: Path, *, site: str, row: dict[str, str]) -> dict[str, str]:
    """The same, and the ward whose command line names `site` puts a patient's row into an answer."""
    environment = tapped(folder, frames)
    with (folder / "sitecustomize.py").open("a", encoding="utf-8") as file:
        file.write(TALKING.format(site=site, row=row))
    return environment
