"""YAML text to a record, with every finding named by line: what was found, what was expected.

Scalars stay the text that was written, and the record's types read them. So `NO`, `1.0` and `007` are what a
reader sees, and nothing turns into a Boolean or a date by itself.
"""

import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from wardgate.records.errors import Invalid
from wardgate.records.record import Record

R = TypeVar("R", bound=Record)

Path = tuple[str | int, ...]
_MAX_CHARACTERS = 5_000_000
_MAX_DEPTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong in a file.

    Attributes:
        file: Name of the file, as the reader knows it.
        line: Line number, from 1.
        path: Field path, e.g. `features[2].range`, or `file`.
        found: What stands there.
        expected: What should.
    """

    file: str
    line: int
    path: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path}: found {self.found}, expected {self.expected}"


class Findings(Invalid):
    """A file with something wrong; `findings` holds all of it, and the message one finding a line."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Plain data with the line of every field.

    Attributes:
        data: Dictionaries, lists, text and None.
        lines: Line of each field path.
        wrong: What is wrong already, such as a field given twice; `validate` raises it with the rest.
    """

    name: str
    data: dict[str, Any]
    lines: Mapping[Path, int]
    wrong: tuple[Finding, ...] = ()

    def finding(self, path: Path, *, found: str, expected: str) -> Finding:
        """Return a finding at `path`, with the line of the nearest field that exists."""
        where = path
        while where and where not in self.lines:
            where = where[:-1]
        return Finding(
            file=self.name, line=self.lines.get(where, 1), path=path_text(path), found=found, expected=expected
        )


def path_text(path: Path) -> str:
    """Return a path as people write it: `features[2].range`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return text or "file"


def shown_text(value: Any) -> str:
    """Return a short picture of a value of the file."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, Mapping):
        name = value.get("name")
        return f"a block with {', '.join(map(str, list(value)[:8])) or 'nothing'}" + (f" (name {name})" if name else "")
    return f"a list of {len(value)}"


def read(text: str, *, name: str, what: str) -> Parsed:
    """Read YAML text into plain data and line numbers.

    Args:
        text: The file's text.
        name: The file's name, for messages.
        what: What the file should hold, in words, e.g. `a study`.

    Raises:
        Findings: not YAML, an alias or tag, or no block of fields at the top.
    """
    if len(text) > _MAX_CHARACTERS:
        raise Findings([_at(name, 1, f"{len(text)} characters", f"{what} of at most {_MAX_CHARACTERS}")])
    node = problem = None
    try:
        _refuse_oddities(text, name)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = _at(name, line, f"text that breaks YAML ({error.problem or 'unclear'})", "YAML")
    except yaml.YAMLError:
        problem = _at(name, 1, "text that is not YAML (a character that YAML cannot hold)", "YAML")
    if problem is not None:
        raise Findings([problem])
    if not isinstance(node, yaml.MappingNode):
        found = "an empty file" if node is None else "something other than fields"
        raise Findings([_at(name, 1, found, f"{what}: fields and values")])
    lines: dict[Path, int] = {}
    wrong: list[Finding] = []
    data = _plain(node, (), lines, wrong, name)
    return Parsed(name=name, data=data, lines=lines, wrong=tuple(wrong))


def _at(name: str, line: int, found: str, expected: str) -> Finding:
    return Finding(file=name, line=line, path="file", found=found, expected=expected)


def _refuse_oddities(text: str, name: str) -> None:
    """Refuse aliases, tags and endless nesting before anything is built from them."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise Findings([_at(name, line, "an alias (*name)", "every value written out")])
        if getattr(event, "tag", None) is not None:
            raise Findings([_at(name, line, "a tag (!name)", "plain values")])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise Findings([_at(name, line, f"blocks nested more than {_MAX_DEPTH} deep", "a flatter file")])


def _plain(node: yaml.Node, path: Path, lines: dict[Path, int], wrong: list[Finding], name: str) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode):
        return None if node.style is None and node.value in ("", "~", "null") else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), lines, wrong, name) for index, item in enumerate(node.value)]
    found: dict[str, Any] = {}
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            wrong.append(_at(name, line, "a key that is not text", "a name and a value"))
            continue
        key = str(key_node.value)
        here = (*path, key)
        if key in found:
            wrong.append(
                Finding(
                    file=name,
                    line=line,
                    path=path_text(here),
                    found=f"'{key}' a second time (first on line {lines[here]})",
                    expected="every field once",
                )
            )
            continue
        lines[here] = line
        found[key] = _plain(value, here, lines, wrong, name)
    return found


def check_schema(parsed: Parsed, known: Sequence[str]) -> None:
    """Refuse a file of a version that this Wardgate does not know.

    Raises:
        Findings: `schema` is absent or unknown; the message names the known ones.
    """
    schema = parsed.data.get("schema")
    if schema not in known:
        expected = f"one of the versions known here: {', '.join(known)}"
        raise Findings([*parsed.wrong, parsed.finding(("schema",), found=shown_text(schema), expected=expected)])


def validate(parsed: Parsed, model: type[R]) -> R:
    """Turn parsed data into a record.

    Raises:
        Findings: all that is wrong with it, each with its line.
    """
    found: dict[tuple[int, str, str], list[str]] = {}
    try:
        record = model.model_validate(parsed.data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            one = _finding(parsed, model, item)
            expectations = found.setdefault((one.line, one.path, one.found), [])
            if one.expected not in expectations:
                expectations.append(one.expected)
    else:
        if not parsed.wrong:
            return record
    findings = [
        Finding(file=parsed.name, line=line, path=path, found=what, expected=" or ".join(expected))
        for (line, path, what), expected in found.items()
    ]
    raise Findings(sorted((*parsed.wrong, *findings), key=lambda finding: finding.line))


def _finding(parsed: Parsed, model: type[BaseModel], item: Mapping[str, Any]) -> Finding:
    path = _real_path(parsed, item["loc"], missing=item["type"] == "missing")
    if item["type"] == "missing":
        return parsed.finding(path, found="nothing", expected="this field, which has no default")
    if item["type"] == "extra_forbidden":
        names = _fields_at(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), names, n=1, cutoff=0.5)
        expected = f"'{near[0]}'" if near else f"one of: {', '.join(names)}"
        return parsed.finding(path, found=f"the unknown field '{path[-1]}'", expected=expected)
    expected = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if item["type"] == "string_pattern_mismatch":
        expected = "a name of letters, digits and _ . + - (at most 80, the first a letter or digit)"
    found = shown_text(_value_at(parsed.data, path))
    if expected.startswith("expected "):
        expected = expected.removeprefix("expected ")
    return parsed.finding(path, found=found, expected=expected)


def _real_path(parsed: Parsed, loc: Sequence[str | int], *, missing: bool) -> Path:
    """Drop what pydantic adds for unions: keep the parts that are fields of the file."""
    path: Path = ()
    for part in loc:
        if (*path, part) in parsed.lines:
            path = (*path, part)
    if missing and loc and (not path or path[-1] != loc[-1]):
        path = (*path, loc[-1])
    return path


def _value_at(data: Any, path: Path) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _fields_at(model: type[BaseModel], path: Path) -> list[str]:
    """Return the names of the fields that may stand at `path`."""
    here: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int) or here is None:
            continue
        field = next((f for n, f in here.model_fields.items() if part in (n, f.alias)), None)
        if field is not None:
            here = _model_in(field.annotation)
    return [field.alias or name for name, field in here.model_fields.items()] if here else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for part in typing.get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None
