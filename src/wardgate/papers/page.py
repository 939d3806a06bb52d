"""Pages that stand by themselves: one template each, no script, nothing asked of any network."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wardgate.papers import words


def page(template: str, *, helpers: Mapping[str, Callable[..., Any]], **values: object) -> str:
    """Return one self-contained HTML page. Every text of `values` is escaped; equal values give equal bytes."""
    environment = Environment(
        loader=PackageLoader("wardgate.papers"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "breakable": breakable,
        "chance": words.chance,
        "measure": words.measure,
        "persons": words.persons,
        "listed": words.listed,
    }
    environment.globals |= {"belief": words.belief, "outcomes": words.OUTCOMES, "number": words.number, **helpers}
    text = environment.get_template(template).render(**values)
    return "\n".join(line for line in text.splitlines() if line.strip()) + "\n"


def breakable(name: str) -> Markup:
    """Return a dotted name or a digest that may break inside."""
    parts = [name[at : at + 16] for at in range(0, len(name), 16)] if name.isalnum() and len(name) > 32 else None
    if parts is None:
        parts = name.replace(".", ".\0").replace("_", "_\0").split("\0")
    return Markup("<wbr>").join(parts)
