"""A hospital: the ward sees patients, the wire speaks, the spool lies between."""
