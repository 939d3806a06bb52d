"""Rules that no real patient breaks, whichever study or hospital: a suite in YAML, and the starter set.

A suite names concepts (what a column may mean), says by which codes or names a column is known to be one, and states
rules between concepts. A rule speaks only where all its concepts are in the table; see docs/gate/clinical-rules.md.
"""

import re
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from wardgate.records.canonical import number_of
from wardgate.records.errors import Invalid
from wardgate.records.expression import Expression
from wardgate.records.expression import read as read_expression
from wardgate.records.feature import Feature
from wardgate.records.record import Name, Number, Record
from wardgate.records.yaml_file import Finding, Findings, Parsed, Path, check_schema, shown_text, validate
from wardgate.records.yaml_file import read as read_yaml

SCHEMA = "wardgate/clinical-rules/1"

RuleKind = Literal["range", "comparison", "implication", "formula", "order", "rising"]
Severity = Literal["impossible", "implausible"]
Condition = tuple[str | None, ...]
"""Values that a concept may have: `[low, high]` of a number, an absent end open; else `yes`, `no` or categories."""

_CONCEPT = re.compile(r"[a-z][a-z0-9_]*")
_MASS, _MOLAR = "mass concentration", "molar concentration"


class Unit(Record):
    """A UCUM unit: `factor` of the first unit of its dimension, after which `offset` is added."""

    dimension: str
    factor: Number = 1.0
    offset: Number = 0.0


class Concept(Record):
    """What a column may mean.

    Attributes:
        unit: UCUM unit in which the suite's rules speak of it.
        molar_mass: Grams a mole, where mass and molar concentrations are both in use.
        units: Further units of this concept alone, as a factor to `unit`.
        codes: By terminology, the codes that a feature may carry; one that ends with `*` is a beginning.
        names: Names that a feature without such a code may have.
        values: Of a category, the spellings of each value.
    """

    type: Literal["number", "flag", "category"] = "number"
    unit: str | None = None
    molar_mass: Number | None = None
    units: dict[str, Number] = Field(default_factory=dict)
    codes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    names: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.type == "number") != (self.unit is not None):
            raise ValueError("a number needs 'unit' (UCUM), and nothing else has one")
        if (self.type == "category") != (len(self.values) > 1):
            raise ValueError("a category needs 'values' with at least two entries, and nothing else has them")
        if not self.codes and not self.names:
            raise ValueError("a concept needs 'codes' or 'names'; no column could be it")
        return self

    def is_meant_by(self, feature: Feature) -> bool:
        """Whether a feature is this concept: by its code where both have one of the same terminology, else by name."""
        fits = {"number": ("number", "integer"), "flag": ("boolean",), "category": ("category",)}
        if feature.type not in fits[self.type]:
            return False
        shared = [system for system in feature.codes if system in self.codes]
        if shared:
            return any(_is_code(feature.codes[system], code) for system in shared for code in self.codes[system])
        return plain_name(feature.name) in {plain_name(name) for name in self.names}


_FIELDS: dict[RuleKind, tuple[str, ...]] = {
    "range": ("of", "between", "unit"),
    "comparison": ("left", "op", "right"),
    "implication": ("when", "then"),
    "formula": ("left", "op", "right"),
    "order": ("order",),
    "rising": ("of",),
}
_FREE = ("name", "kind", "severity", "source", "when", "tolerance", "relative")


class SuiteRule(Record):
    """One rule.

    Attributes:
        kind: `range` (`of` lies `between` two numbers in `unit`), `comparison` (of two concepts), `implication`
            (`when` holds, so does `then`), `formula` (`left op right` between expressions), `order` (the times named
            never fall, those missing left out) or `rising` (`of` never falls within a person).
        severity: `impossible` counts against a corpus; `implausible` is reported.
        when: The rule speaks only where every concept named has one of these values.
        tolerance, relative: Slack of `op`: tolerance + relative x |right|.
        source: Where it is known from.
    """

    name: Name
    kind: RuleKind
    severity: Severity
    source: str = Field(min_length=3)
    of: str | None = None
    between: tuple[Number | None, Number | None] | None = None
    unit: str | None = None
    left: str | None = None
    op: Literal["<", "<=", ">", ">=", "=="] | None = None
    right: str | None = None
    tolerance: Number = Field(default=0.0, ge=0)
    relative: Number = Field(default=0.0, ge=0)
    when: dict[str, Condition] = Field(default_factory=dict)
    then: dict[str, Condition] = Field(default_factory=dict)
    order: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = _FIELDS[self.kind]
        given = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        given -= {name for name in ("when", "then", "order") if not getattr(self, name)}
        lacking, beside = [name for name in needed if name not in given], sorted(given - {*needed, *_FREE})
        if lacking or beside:
            raise ValueError(
                f"expected a rule of kind '{self.kind}' with {', '.join(needed)}"
                + (f"; '{beside[0]}' belongs to another kind" if beside else "")
            )
        return self

    @property
    def sides(self) -> tuple[Expression, Expression]:
        """The two expressions that are compared.

        Raises:
            Invalid: there are none, or one cannot be read.
        """
        if self.left is None or self.right is None:
            raise Invalid(f"rule '{self.name}' compares nothing")
        return read_expression(self.left), read_expression(self.right)

    @property
    def concepts(self) -> tuple[str, ...]:
        """Every concept that the rule needs, each once. For `order` two of those named are enough."""
        sides = () if self.left is None else tuple(name for side in self.sides for name in side.names)
        of = () if self.of is None else (self.of,)
        return tuple(dict.fromkeys((*of, *sides, *self.when, *self.then, *self.order)))

    @property
    def words(self) -> str:
        """What the rule asks, in one line for people."""
        when = " and ".join(_condition(name, found) for name, found in self.when.items())
        return f"where {when}: {self._asked}" if when else self._asked

    @property
    def _asked(self) -> str:
        match self.kind:
            case "range":
                return f"{self.of} {_ends(*(self.between or (None, None)))} {self.unit}"
            case "implication":
                return " and ".join(_condition(name, found) for name, found in self.then.items())
            case "order":
                return " <= ".join(self.order)
            case "rising":
                return f"{self.of} never falls within a person"
        slack = [f"{self.tolerance:g}"] if self.tolerance else []
        slack += [f"{100 * self.relative:g} %"] if self.relative else []
        return f"{self.left} {self.op} {self.right}" + (f", within {' and '.join(slack)}" if slack else "")


class Suite(Record):
    """Concepts, units and rules."""

    schema_: Literal["wardgate/clinical-rules/1"] = Field(default="wardgate/clinical-rules/1", alias="schema")
    units: dict[str, Unit]
    concepts: dict[str, Concept]
    rules: tuple[SuiteRule, ...]

    def conversion(self, unit: str, concept: str) -> tuple[float, float] | None:
        """Return factor and offset that turn a value in `unit` into the concept's unit; nothing where none is known."""
        meant = self.concepts[concept]
        there, here = bare_unit(unit), bare_unit(meant.unit or "1")
        if there == here:
            return 1.0, 0.0
        if there in meant.units:
            return meant.units[there], 0.0
        one, two = self.units.get(there), self.units.get(here)
        if one is None or two is None:
            return None
        between, pair = 1.0, (one.dimension, two.dimension)
        if one.dimension != two.dimension:
            if meant.molar_mass is None or set(pair) != {_MASS, _MOLAR}:
                return None
            # Mass concentrations are in g/L, molar ones in mmol/L.
            between = 1000 / meant.molar_mass if pair[0] == _MASS else meant.molar_mass / 1000
        return one.factor * between / two.factor, (one.offset * between - two.offset) / two.factor


def plain_name(name: str) -> str:
    """Return a name as names are compared: lower case, words joined by `_`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def bare_unit(unit: str) -> str:
    """Drop annotations: `{beats}/min` is `/min`."""
    return re.sub(r"\{[^}]*\}", "", unit).strip() or "1"


def bounds(condition: Condition) -> tuple[float | None, float | None]:
    """Read a number's condition.

    Raises:
        Invalid: it is not `[low, high]` with low <= high.
    """
    if len(condition) != 2:
        raise Invalid("expected [low, high], an absent end left empty")
    low, high = (None if part is None else number_of(part) for part in condition)
    if (low is None and high is None) or (low is not None and high is not None and not low <= high):
        raise Invalid("expected [low, high] with low <= high")
    return low, high


def _ends(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at most {high:g}" if high is not None else f"at least {low:g}"
    return f"{low:g} to {high:g}"


def _condition(name: str, found: Condition) -> str:
    if any(part in ("yes", "no") or (part and part[0].isalpha()) for part in found):
        return f"{name} is {' or '.join(str(part) for part in found)}"
    return f"{name} is {_ends(*bounds(found))}"


def _is_code(found: str, known: str) -> bool:
    return found.startswith(known[:-1]) if known.endswith("*") else found == known


def parse(text: str, *, name: str) -> Suite:
    """Read a suite.

    Raises:
        Findings: everything that is wrong in it, as `file:line: path: found X, expected Y`, one a line.
    """
    parsed = read_yaml(text, name=name, what="a suite of clinical rules")
    check_schema(parsed, (SCHEMA,))
    suite = validate(parsed, Suite)
    findings = [*_of_concepts(parsed, suite), *_of_rules(parsed, suite)]
    if findings:
        raise Findings(sorted(findings, key=lambda finding: finding.line))
    return suite


def _of_concepts(parsed: Parsed, suite: Suite) -> Iterator[Finding]:
    owner: dict[tuple[str, ...], str] = {}
    for name, concept in suite.concepts.items():
        path: Path = ("concepts", name)
        if not _CONCEPT.fullmatch(name):
            yield parsed.finding(path, found=f"'{name}'", expected="a name of a-z, 0-9 and _, the first a letter")
        if concept.unit is not None and bare_unit(concept.unit) not in suite.units:
            yield parsed.finding((*path, "unit"), found=f"'{concept.unit}'", expected="a unit listed under 'units'")
        keys = [(concept.type, "name", plain_name(alias)) for alias in concept.names]
        keys += [(concept.type, system, code) for system, codes in concept.codes.items() for code in codes]
        for key in keys:
            if owner.setdefault(key, name) != name:
                expected = f"names and codes of one concept only; '{owner[key]}' has it"
                yield parsed.finding(path, found=f"{key[1]} '{key[2]}'", expected=expected)


def _of_rules(parsed: Parsed, suite: Suite) -> Iterator[Finding]:
    seen: set[str] = set()
    if not suite.rules:
        yield parsed.finding(("rules",), found="no rule", expected="at least one")
    for index, rule in enumerate(suite.rules):
        path: Path = ("rules", index)
        if rule.name in seen:
            yield parsed.finding((*path, "name"), found=f"'{rule.name}' a second time", expected="every name once")
        seen.add(rule.name)
        unread = list(_unread(parsed, path, rule))
        yield from unread
        unknown = [] if unread else [name for name in rule.concepts if name not in suite.concepts]
        for name in unknown:
            yield parsed.finding(path, found=f"the concept '{name}'", expected="one listed under 'concepts'")
        if not unread and not unknown:
            yield from _of_kind(parsed, path, rule, suite)


def _unread(parsed: Parsed, path: Path, rule: SuiteRule) -> Iterator[Finding]:
    for side in ("left", "right"):
        text = getattr(rule, side)
        if text is None:
            continue
        try:
            found = read_expression(text)
        except Invalid as error:
            yield parsed.finding((*path, side), found=shown_text(text), expected=f"an expression: {error}")
            continue
        if rule.kind == "comparison" and (len(found.steps) != 1 or not found.names):
            yield parsed.finding((*path, side), found=shown_text(text), expected="a concept; 'formula' computes")


def _of_kind(parsed: Parsed, path: Path, rule: SuiteRule, suite: Suite) -> Iterator[Finding]:
    numbers = [name for name in rule.concepts if name not in rule.when and name not in rule.then]
    for name in numbers:
        if suite.concepts[name].type != "number" and rule.kind != "rising":
            yield parsed.finding(path, found=f"'{name}', which is no number", expected=f"numbers in a '{rule.kind}'")
    for where in ("when", "then"):
        for name, condition in getattr(rule, where).items():
            wrong = _wrong_condition(suite.concepts[name], condition)
            if wrong:
                yield parsed.finding((*path, where, name), found=shown_text(list(condition)), expected=wrong)
    if rule.kind == "range" and rule.of is not None:
        low, high = rule.between or (None, None)
        if (low is None and high is None) or (low is not None and high is not None and not low < high):
            yield parsed.finding((*path, "between"), found="no range", expected="[low, high] with low < high")
        if suite.conversion(rule.unit or "", rule.of) is None:
            expected = f"a unit that converts to '{suite.concepts[rule.of].unit}'"
            yield parsed.finding((*path, "unit"), found=f"'{rule.unit}'", expected=expected)
    units = {suite.concepts[name].unit for name in numbers}
    if rule.kind in ("comparison", "order") and len(units) > 1:
        found = " and ".join(sorted(str(unit) for unit in units))
        yield parsed.finding(path, found=found, expected="concepts of one unit")
    if rule.kind == "order" and len(set(rule.order)) < 2:
        yield parsed.finding((*path, "order"), found="fewer than two times", expected="at least two")


def _wrong_condition(concept: Concept, condition: Condition) -> str:
    if concept.type == "number":
        try:
            bounds(condition)
        except Invalid as error:
            return str(error).removeprefix("expected ")
        return ""
    known = ("yes", "no") if concept.type == "flag" else tuple(concept.values)
    right = condition and all(value in known for value in condition)
    return "" if right else f"one or more of: {', '.join(known)}"
