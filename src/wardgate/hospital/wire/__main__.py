"""The wire as a process: `python -m wardgate.hospital.wire --premises DIR`."""

import sys

from wardgate.hospital.wire.engine.launch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
