"""A hospital looks at its own data, in one process without a network."""

from wardgate.hospital.ward.answering.data.check import advice, check
from wardgate.hospital.ward.answering.data.forms import DIALECTS, convert, warehouse_sql
from wardgate.hospital.ward.answering.data.profile import profile

__all__ = ["DIALECTS", "advice", "check", "convert", "profile", "warehouse_sql"]
