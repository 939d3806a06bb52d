"""What each computation asks for, in words that need no code at hand.

A question comes from the hub, so its parameters are not trusted: names are cleaned, and what is of another form than
expected is said to be so.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from wardgate.hospital.ward.porter.book import clean
from wardgate.records.messages import Question

MOST_NAMES = 6

Phrase = Callable[[Mapping[str, Any]], tuple[str, str]]
"""Parameters to what is done, and to what the sum is of."""


def listed(value: Any, *, most: int = MOST_NAMES) -> str:
    """Return names as people list them; only so many of them."""
    if not isinstance(value, list | tuple):
        return "columns that the question does not name"
    names = [clean(str(one), most=60) for one in value[:most]]
    more = len(value) - len(names)
    return (", ".join(names) if names else "nothing") + (f" and {more} more" if more else "")


def _named(value: Any) -> str:
    return f"'{clean(value, most=60)}'" if isinstance(value, str) else "without a name"


def _many(value: Any, one: str, many: str) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        return f"some {many}"
    return f"{value} {one if value == 1 else many}"


def _terms(value: Any) -> str:
    rows = value if isinstance(value, list | tuple) else ()
    return listed([one.get("feature", "?") if isinstance(one, Mapping) else one for one in rows])


def _newton(_: Mapping[str, Any]) -> tuple[str, str]:
    return "One step of fitting the study's logistic regression", "a gradient, a curvature matrix and a log-likelihood"


def _score_bins(p: Mapping[str, Any]) -> tuple[str, str]:
    own = p.get("model") == "local"
    whose = "each hospital's own model" if own else f"the model {_named(p.get('model'))}"
    shifted = ", after each hospital shifted it by its own few records" if "prior_deviation" in p else ""
    groups = _many(p.get("subgroups"), "subgroup", "subgroups")
    return (
        f"How well {whose} predicts{shifted}",
        f"counts of persons with and without the outcome by predicted risk, overall and in {groups}",
    )


def _marginals(p: Mapping[str, Any]) -> tuple[str, str]:
    workload = p.get("workload")
    queries = workload.get("queries") if isinstance(workload, Mapping) else None
    tables = _many(len(queries) if isinstance(queries, list | tuple) else None, "table", "tables")
    return "Counting for the synthetic corpus that all hospitals make together", f"counts of persons in {tables}"


def _boosting_bins(_: Mapping[str, Any]) -> tuple[str, str]:
    return (
        "Boosted trees: where each feature may be cut",
        "persons with the outcome, and persons (or their weight in the next tree) by fine bins of each feature",
    )


def _boosting_histograms(p: Mapping[str, Any]) -> tuple[str, str]:
    level = p.get("level")
    depth = f" at depth {level}" if isinstance(level, int) else ""
    nodes = p.get("nodes")
    branches = _many(len(nodes) if isinstance(nodes, list | tuple) else None, "branch", "branches")
    persons = " and counts of persons" if p.get("counts") is True else ""
    return (
        f"Boosted trees: growing a tree{depth}",
        f"gradients, curvatures{persons} by bin of each feature in {branches}",
    )


def _boosting_leaves(_: Mapping[str, Any]) -> tuple[str, str]:
    return "Boosted trees: the leaves of trees whose cuts were drawn at random", "gradients and curvatures by leaf"


def _boosting_loss(_: Mapping[str, Any]) -> tuple[str, str]:
    return "Boosted trees: when to stop", "a count of persons and the loss after each of the last trees"


_FAMILIES = {"logistic": "logistic", "linear": "linear", "poisson": "Poisson"}


def _glm(p: Mapping[str, Any]) -> tuple[str, str]:
    family = _FAMILIES.get(str(p.get("family")), "generalised linear")
    firth = p.get("wants") == "firth"
    outcome = "the outcome" if p.get("outcome") == "label" else _named(p.get("outcome"))
    own = ", each hospital with a level of its own" if "site_ridge" in p else ""
    return (
        f"One step of fitting a {family} regression of {outcome} on {_terms(p.get('terms'))}{own}",
        "what Firth's penalty adds to the gradient" if firth else "a gradient, a curvature matrix and a log-likelihood",
    )


def _cox(p: Mapping[str, Any]) -> tuple[str, str]:
    time, terms = _named(p.get("time")), _terms(p.get("terms"))
    match p.get("form"):
        case "counts":
            return f"Survival by {time}: how long persons were observed", "counts of persons by time"
        case "breslow":
            said = "events, risk sets, and the predictors' sums in them, by time"
            return f"One step of a Cox regression by {time} on {terms}", said
        case _:
            said = "a gradient, a curvature matrix and a log-likelihood"
            return f"One step of a regression of the hazard by {time} on {terms}", said


def _summaries(p: Mapping[str, Any]) -> tuple[str, str]:
    apart = ", apart by outcome" if p.get("by_label") is True else ""
    said = "persons, values present, sums and sums of squares"
    return f"Means and variances of {listed(p.get('features'))}{apart}", said


def _moments(p: Mapping[str, Any]) -> tuple[str, str]:
    products = p.get("order") == 2
    what = "Means and covariances" if products else "Means"
    return f"{what} of {listed(p.get('columns'))}", "persons, sums" + (" and sums of products" if products else "")


def _tables(p: Mapping[str, Any]) -> tuple[str, str]:
    tables = p.get("tables")
    rows = tables if isinstance(tables, list | tuple) else ()
    shown = [" by ".join(clean(str(name), most=60) for name in row) or "all" for row in rows if isinstance(row, list)]
    return f"Counts of persons: {listed(shown)}", "counts of persons in the cells of these tables"


def _model_scores(p: Mapping[str, Any]) -> tuple[str, str]:
    models = p.get("models")
    name = models[0] if isinstance(models, list | tuple) and models else None
    said = "counts of persons with and without the outcome by predicted risk, and squared errors"
    return f"How well the model {_named(name)} predicts", said


def _platt(_: Mapping[str, Any]) -> tuple[str, str]:
    return "One step of adjusting a fitted model's risks", "a gradient and a curvature of two numbers"


def _class_moments(p: Mapping[str, Any]) -> tuple[str, str]:
    once = "; records that look like copies count once" if "within" in p else ""
    products = ", and of products of columns" if p.get("products") in ("together", "apart") else ""
    if not p.get("places"):
        return f"Who contributed: sums by outcome{once}", f"counts of persons and sums of columns by outcome{products}"
    return (
        f"Who contributed: this hospital's own sums by outcome, in a place of its own, with noise{once}",
        f"each hospital's own counts of persons and sums of columns by outcome, told apart but for the noise{products}",
    )


def _critic(_: Mapping[str, Any]) -> tuple[str, str]:
    return (
        "One step of training the critic of a network that makes synthetic data",
        "gradients, each person's cut to one length",
    )


def _network(p: Mapping[str, Any]) -> str:
    return f"the network {_named(p['network'])}" if p.get("network") else "a network that the study locks"


def _network_update(p: Mapping[str, Any]) -> tuple[str, str]:
    work = p.get("work")
    settings = work if isinstance(work, Mapping) else {}
    steps = _many(settings.get("steps"), "step", "steps")
    what = f"One round of training {_network(p)}: {steps} on this hospital's own persons"
    said = "how far each hospital moved the network's weights, cut to one length"
    if settings.get("weighing") == "sites":
        return what, said
    return (
        f"{what}; beside the sum the hospital says in a word how its round went",
        f"{said}, persons, and losses before and after",
    )


def _network_gradient(p: Mapping[str, Any]) -> tuple[str, str]:
    return (
        f"One step of training {_network(p)} on a secret draw of persons",
        "gradients, each person's cut to one length",
    )


def _network_votes(p: Mapping[str, Any]) -> tuple[str, str]:
    candidates = _many(p.get("candidates"), "candidate", "candidates")
    return (
        f"Voting on {candidates} for {_network(p)}: would one do harm to the persons here",
        "votes; each hospital counts for one at most",
    )


def _likeness(p: Mapping[str, Any]) -> tuple[str, str]:
    network = f" the last layer of the network {_named(p['network'])}" if p.get("network") else " a common model"
    if p.get("wants") == "curvature":
        return f"One step of fitting{network}", "a gradient, a curvature matrix and a log-likelihood"
    return (
        f"How far each hospital's own persons ask for another model than{network}",
        "which width of a public menu fits each hospital, as shares of one hospital",
    )


SUMMED: Mapping[str, Phrase] = MappingProxyType(
    {
        "newton": _newton,
        "score_bins": _score_bins,
        "marginals": _marginals,
        "boosting_bins": _boosting_bins,
        "boosting_histograms": _boosting_histograms,
        "boosting_leaves": _boosting_leaves,
        "boosting_loss": _boosting_loss,
        "glm": _glm,
        "cox": _cox,
        "summaries": _summaries,
        "moments": _moments,
        "tables": _tables,
        "model_scores": _model_scores,
        "platt": _platt,
        "critic": _critic,
        "class_moments": _class_moments,
        "network_update": _network_update,
        "network_gradient": _network_gradient,
        "network_votes": _network_votes,
        "likeness": _likeness,
    }
)
"""Every computation that is answered by a sum."""


def _review(_: Question) -> str:
    return (
        "Check the locked study against this hospital's data and say whether it can take part: number of persons in a"
        " band, who was left out and why, quality of each feature; nothing of fewer than eleven persons"
    )


def _roster(question: Question) -> str:
    others = sum(ref.name.startswith("enrolment:") for ref in question.vectors)
    met = _many(others, "other hospital", "other hospitals")
    return f"Meet {met}: check their signed keys and agree on a secret with each; touches no patient"


def _corpus(question: Question) -> str:
    again = question.parameters.get("again") is True
    fitted = "Draw again from the generator fitted before" if again else "Fit a generator to the training persons"
    return f"{fitted}, and release this hospital's own synthetic table if the gate passes it"


def _associations(_: Question) -> str:
    return (
        "How each feature goes with the outcome among the training persons, prevalence and coverage, so that"
        " definitions can be compared between hospitals: rounded figures of this hospital alone"
    )


def _evaluate(question: Question) -> str:
    names = question.parameters.get("models")
    own = isinstance(names, list | tuple) and list(names) == ["local"]
    whose = "this hospital's own model predicts" if own else f"these models predict: {listed(names)}"
    persons = PERSONS.get(question.split, "persons of no split")
    return f"How well {whose}, on {persons}: rounded figures of this hospital alone"


def _personal(question: Question) -> str:
    persons = PERSONS.get(question.split, "persons of no split")
    return (
        "Make this hospital's personal models from its training and tuning persons, keep them here, and judge them"
        f" beside the common and its own one on {persons}: rounded figures of this hospital alone"
    )


def _prepare(question: Question) -> str:
    sites = question.parameters.get("sites")
    count = _many(len(sites) if isinstance(sites, list | tuple) else None, "hospital", "hospitals")
    return f"Prepare sums over {count} that survive the loss of some: deposit shares of masks; touches no patient"


def _shares(_: Question) -> str:
    return "Keep the shares that other hospitals deposited for this one; touches no patient"


def _confirm(question: Question) -> str:
    names = question.parameters.get("survivors")
    count = _many(len(names) if isinstance(names, list | tuple) else None, "hospital", "hospitals")
    return f"Confirm that a sum which this hospital answered opens over {count}"


def _reveal(question: Question) -> str:
    names = question.parameters.get("survivors")
    count = _many(len(names) if isinstance(names, list | tuple) else None, "hospital", "hospitals")
    return f"Help to open that sum over {count}: reveal the shares that take the masks away"


def _close(_: Question) -> str:
    return (
        "End the study: tell what was spent, how often the locked test was opened, and this hospital's log of digests"
    )


STEPS: Mapping[str, Callable[[Question], str]] = MappingProxyType(
    {
        "review": _review,
        "roster": _roster,
        "corpus": _corpus,
        "associations": _associations,
        "evaluate": _evaluate,
        "personal": _personal,
        "prepare": _prepare,
        "shares": _shares,
        "confirm": _confirm,
        "reveal": _reveal,
        "close": _close,
    }
)
"""Every step of the chain that is answered by one hospital for itself."""

PERSONS: Mapping[str, str] = MappingProxyType(
    {
        "train": "the training persons",
        "tuning": "the tuning persons",
        "holdout": "the persons held out",
        "locked_test": "the persons of the locked test",
    }
)
