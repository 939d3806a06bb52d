"""Rules for what is no single hospital's corpus: secure sums, joint corpora and one site's own statistics."""

from wardgate.policy.rule import Case, Judgement, Rule, counted

ELEVEN = "CMS cell-size policy (2024): no count of 1 to 10; the same rule as a risk of 0.09"


def _protection(case: Case) -> Judgement:
    policy = case.policy
    if case.noise_protects:
        limit = f"noise with epsilon at most {policy.dp.epsilon_claim_max:g}"
        return Judgement(outcome="pass", limit=limit)
    if case.evidence.kind == "sited":
        limit = "noise, or true values in commons-controlled and internal-only alone"
        allowed = policy.profile in ("commons-controlled", "internal-only")
    else:
        limit = "noise, or exact sums where the policy allows them"
        allowed = policy.dp.exact_sums == "allow" and policy.profile != "public-open"
    if allowed:
        return Judgement(outcome="pass", limit=limit, reason="without noise that counts; the certificate says so")
    return Judgement(
        outcome="fail", limit=limit, reason="without noise that counts, and the policy denies exact answers"
    )


def _ration(case: Case) -> Judgement | None:
    if case.evidence.claim.kind != "exact":
        return None
    return counted("sum.exact_used", most=lambda policy: policy.dp.exact_sum_ration)(case)


def _numbers(case: Case) -> Judgement | None:
    ratio = case.policy.small_cells.max_numbers_per_person
    persons, _ = case.find("sum.persons")
    if persons is None or not persons.value >= 0:
        return Judgement(outcome="fail", limit=f"{ratio:g} per person", reason="the evidence holds no 'sum.persons'")
    return counted("sum.numbers", most=lambda _: ratio * persons.low)(case)


def _numbers_when_exact(case: Case) -> Judgement | None:
    return None if case.noise_protects else _numbers(case)


def _figures(case: Case) -> Judgement | None:
    if not (case.policy.dp.required or case.policy.profile == "public-open"):
        return None
    return counted("record.figures", most=lambda _: 0)(case)


RULES: tuple[Rule, ...] = (
    Rule(
        name="sum.sites",
        kinds=("joint-corpus", "summed"),
        tests="How many hospitals are in the sum.",
        attacker="One hospital of the sum, which can take away its own part.",
        meaning="With three hospitals, one of them still cannot tell whose patients the rest are.",
        source="engineering choice: three sites",
        judge=counted("sum.sites", least=lambda policy: policy.min_sites_in_sum),
    ),
    Rule(
        name="sum.persons",
        kinds=("summed",),
        tests="How many persons are in the whole sum.",
        attacker="Sees the total.",
        meaning="A total over fewer than eleven persons says much about each of them.",
        source=ELEVEN,
        judge=counted("sum.persons", least=lambda policy: policy.small_cells.min_count),
    ),
    Rule(
        name="sum.isolated",
        kinds=("summed",),
        tests="Whether this sum, taken from earlier ones, would leave fewer than three hospitals or eleven persons.",
        attacker="Collects all sums of a study and subtracts.",
        meaning="Two harmless totals can give one patient away by their difference.",
        source=ELEVEN + "; three sites: engineering choice",
        judge=counted("sum.isolated", most=lambda _: 0),
    ),
    Rule(
        name="sum.protection",
        kinds=("summed",),
        tests="Whether the sum carries noise that counts, or is exact where the policy allows it.",
        attacker="Sees the total and all records but one.",
        meaning="Without noise an attacker who knows everybody else could compute the last patient.",
        source="engineering choice",
        judge=_protection,
    ),
    Rule(
        name="sum.numbers",
        kinds=("summed",),
        tests="How many numbers are asked for each person in an exact sum.",
        attacker="Solves equations.",
        meaning="As many exact numbers as persons can be solved for the persons.",
        source="after DataSHIELD nfilter.glm, which is 0.33; a looser limit in a study is its own choice",
        judge=_numbers_when_exact,
    ),
    Rule(
        name="sum.exact_used",
        kinds=("summed",),
        tests="How many exact answers this population has given, with this one.",
        attacker="Solves equations.",
        meaning="Exact answers have no epsilon; their number is the only brake.",
        source="engineering choice",
        judge=_ration,
    ),
    Rule(
        name="sited.smallest_cell",
        kinds=("sited", "record"),
        tests="The smallest number of persons behind any figure, also after subtracting figures from each other.",
        attacker="Knows the hospital and some of its patients.",
        meaning="A figure over fewer than eleven patients says much about each of them.",
        source=ELEVEN,
        judge=counted("sited.smallest_cell", least=lambda policy: policy.small_cells.min_count),
    ),
    Rule(
        name="sited.unrounded",
        kinds=("sited",),
        tests="How many figures carry more digits than the policy shows.",
        attacker="Compares exact figures before and after one patient.",
        meaning="Rounding hides the small step that one patient makes.",
        source="engineering choice: 0.01",
        judge=counted("sited.unrounded", most=lambda _: 0),
    ),
    Rule(
        name="record.figures",
        kinds=("record",),
        tests="How many figures about persons a plain record holds, where the policy asks for noise in all of them.",
        attacker="Sees the record of one hospital.",
        meaning="Beyond its band of persons, a hospital's figures leave as figures, with their own rules.",
        source="engineering choice",
        judge=_figures,
    ),
    Rule(
        name="sited.protection",
        kinds=("sited",),
        tests="Whether one hospital's own statistic carries noise that counts, or stays inside the consortium.",
        attacker="Sees the figures of one hospital.",
        meaning="Public figures of one hospital carry noise for every patient; rounding alone is not enough.",
        source="engineering choice",
        judge=_protection,
    ),
)
