"""Values -> words for people. What may not be shown or could not be computed is said in words, never as 0 or NaN."""

import math

NOT_SHOWN = "not shown"
NOT_COMPUTED = "could not be computed"

APPROACHES = {
    "local": "Local only",
    "commons": "On the commons",
    "federated": "Federated",
    "hybrid": "Hybrid",
    "pooled": "Pooled",
}

KINDS = {
    "record": ("signed record", "signed records"),
    "sited": ("sited figure", "sited figures"),
    "summed": ("share of a sum", "shares of sums"),
    "corpus": ("synthetic corpus", "synthetic corpora"),
    "refusal": ("refusal", "refusals"),
}

KIND_MEANINGS = {
    "record": "Signatures, commitments and answers without patient figures.",
    "sited": "One hospital's own statistic, checked for small cells and marked with its protection.",
    "summed": "A masked share: nobody can read it alone, only the total over the hospitals appears.",
    "corpus": "Rows made by a generator. No row is a patient.",
    "refusal": "The hospital said no. It carries no data.",
}

OUTCOMES = {
    "pass": "pass",
    "fail": "fail",
    "not_evaluable": "not evaluable",
    "covered_by_dp": "covered by noise",
    "waived": "waived by two persons",
    "pass_with_exceptions": "pass with exceptions",
}

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def figure(value: float | None, digits: int = 2) -> str:
    """Return a figure with fixed digits, or why there is none.

    >>> figure(0.784), figure(None), figure(float("nan")), figure(-0.2), figure(-0.001)
    ('0.78', 'not shown', 'could not be computed', '−0.20', '0.00')
    """
    if value is None:
        return NOT_SHOWN
    if not math.isfinite(value):
        return NOT_COMPUTED
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Return `0.75 to 0.81`, or nothing where an end is absent."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{figure(low, digits)} to {figure(high, digits)}"


def with_interval(value: float | None, low: float | None, high: float | None, digits: int = 2) -> str:
    """Return `0.78 (0.75 to 0.81)`, without the bracket where there is no interval.

    >>> with_interval(0.78, 0.75, 0.81), with_interval(None, None, None)
    ('0.78 (0.75 to 0.81)', 'not shown')
    """
    inner = interval(low, high, digits)
    shown = figure(value, digits)
    return f"{shown} ({inner})" if inner and value is not None and math.isfinite(value) else shown


def measure(value: float) -> str:
    """Return a measured value of unknown size with three significant digits.

    >>> measure(0.0512), measure(1.2e-15), measure(float("inf")), measure(12345.6)
    ('0.0512', '1.2 × 10⁻¹⁵', 'unbounded', '12,346')
    """
    if math.isnan(value):
        return NOT_COMPUTED
    if math.isinf(value):
        return "unbounded"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    if abs(value) < 0.0001:
        mantissa, exponent = f"{value:.2g}".split("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def ratio(value: float) -> str:
    """Return a ratio with two decimals, or three significant digits where two decimals would hide it.

    >>> ratio(0.4899), ratio(0.012)
    ('0.49', '0.012')
    """
    return figure(value) if 0.1 <= value < 1000 else measure(value)


def share(value: float | None) -> str:
    """Return a share as a percentage, or why there is none.

    >>> share(0.981), share(None)
    ('98.1 %', 'not shown')
    """
    if value is None:
        return NOT_SHOWN
    return f"{100 * value + 0.0:.1f} %" if math.isfinite(value) else NOT_COMPUTED


def chance(value: float) -> str:
    """Return a probability for people; only certainty rounds to 0 or 100.

    >>> chance(0.7311), chance(0.0267), chance(0.9997)
    ('73 %', '2.7 %', '> 99.9 %')
    """
    if 0.999 < value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f} %" if value < 0.1 or value > 0.99 else f"{100 * value:.0f} %"


def persons(band: str) -> str:
    """Return a band or a count of persons in words.

    >>> persons("<11"), persons("5000-9999"), persons("1000000+"), persons("7212")
    ('fewer than 11', '5,000 to 9,999', '1,000,000 or more', '7,212')
    """
    if band.startswith("<"):
        return f"fewer than {band[1:]}"
    if band.endswith("+") and band[:-1].isdecimal():
        return f"{int(band[:-1]):,} or more"
    ends = band.split("-")
    if all(end.isdecimal() for end in ends) and len(ends) <= 2:
        return " to ".join(f"{int(end):,}" for end in ends)
    return band


def size(count: int) -> str:
    """Return a number of bytes in decimal units.

    >>> size(812), size(15_300), size(2_450_000)
    ('812 B', '15.3 kB', '2.45 MB')
    """
    for unit, scale, digits in (("GB", 1e9, 2), ("MB", 1e6, 2), ("kB", 1e3, 1)):
        if count >= scale:
            return f"{count / scale:.{digits}f} {unit}"
    return f"{count} B"


def number(count: int, noun: str, plural: str = "") -> str:
    """Return `1 hospital`, `2 hospitals`, `no hospital`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}" if count else f"no {noun}"


def listed(names: tuple[str, ...], most: int = 6) -> str:
    """Return `a, b and c`, or the first ones and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def belief(epsilon: float, prior: float) -> float:
    """Return the most that an attacker can believe that a person took part, after an epsilon-DP release.

    >>> round(belief(1.0, 0.5), 3), round(belief(1.0, 0.01), 4)
    (0.731, 0.0267)
    """
    return prior / (prior + (1 - prior) * math.exp(-epsilon))


def advantage(epsilon: float) -> float:
    """Return the largest membership advantage (true minus false positive rate) against an epsilon-DP release."""
    return math.tanh(epsilon / 2)


def power(epsilon: float, false_positive_rate: float) -> float:
    """Return the largest true positive rate of a membership attack at one false positive rate."""
    return min(math.exp(epsilon) * false_positive_rate, 1 - math.exp(-epsilon) * (1 - false_positive_rate))
