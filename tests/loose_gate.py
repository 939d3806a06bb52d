"""A gate whose statistical limits no honest corpus of a few hundred persons meets by chance."""

GATE = """\
gate:
  membership:
    permutations: 199
    rehearsals: 10
    tiers: [{members: 400, non_members: 150, tpr_at_1_percent: 0.1}]
  proximity:
    exact_match_level: 1e-9
    near_copy_level: 1e-9
    reused_values_level: 1e-9
    rare_combinations_level: 1e-9
    crowded_level: 1e-9
  realism:
    marginal_error_max: 0.5
    pairwise_error_max: 0.8
    joint_error_max: 0.8
    missingness_error_max: 0.8
    relations_min: 0
    trts_loss_max: 0.5
    tstr_loss_max: 0.4
    slope: [-100, 100]
    subgroup_error_max: 0.9
    rare_outcome_ratio: [0.01, 100]
  canaries: {found_max: 20}
"""
