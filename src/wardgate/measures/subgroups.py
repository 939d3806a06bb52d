"""Names of the study's subgroups, in the one order that hub and wards share."""

from itertools import pairwise

from wardgate.records.canonical import text_of
from wardgate.records.study import Study


def group_names(study: Study) -> tuple[str, ...]:
    """Return the name of every group, e.g. `sex=F` or `age>=65,<80`."""
    names = []
    for subgroup in study.subgroups:
        feature = study.feature(subgroup.feature)
        if subgroup.cuts:
            cuts = [text_of(cut) for cut in subgroup.cuts]
            names.append(f"{feature.name}<{cuts[0]}")
            names += [f"{feature.name}>={low},<{high}" for low, high in pairwise(cuts)]
            names.append(f"{feature.name}>={cuts[-1]}")
        elif feature.type == "boolean":
            names += [f"{feature.name}=no", f"{feature.name}=yes"]
        else:
            names += [f"{feature.name}={value}" for value in feature.values or ()]
    return tuple(names)
