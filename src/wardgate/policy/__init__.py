"""Evidence x rules -> verdict; run by the hospital, then again by whoever receives."""

from wardgate.policy.decision import RULES, decide, explain
from wardgate.policy.limits import tighter_than, weaker_than
from wardgate.policy.rule import Rule

__all__ = ["RULES", "Rule", "decide", "explain", "tighter_than", "weaker_than"]
