"""LiRA of SACRO-ML on a file of numbers; run by the interpreter that WARDGATE_SACROML names (sacroml 2.0.1).

python sacro_lira.py FILE.npz MODEL SHADOWS SEED -> one JSON line: AUROC of the attack, TPR at 1 % FPR

MODEL is one of the settings below. The target is fitted here, on the very rows, settings and seed that Wardgate's side
uses, with the same version of scikit-learn or another; its training rows are the members.
"""

import json
import logging
import sys
import tempfile

import numpy as np
from sacroml.attacks.likelihood_attack import LIRAAttack
from sacroml.attacks.target import Target
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

MODELS = {
    "logistic regression": lambda seed: LogisticRegression(C=1.0, max_iter=1000, random_state=seed),
    "boosted trees": lambda seed: GradientBoostingClassifier(
        n_estimators=50, max_depth=2, min_samples_leaf=20, random_state=seed
    ),
    "forest without limit": lambda seed: RandomForestClassifier(n_estimators=30, random_state=seed),
}


def main() -> None:
    logging.disable(logging.CRITICAL)
    file, name, shadows, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with np.load(file, allow_pickle=False) as data:
        x, y, tx, ty = (data[part] for part in ("x", "y", "tx", "ty"))
    model = MODELS[name](seed).fit(x, y)
    with tempfile.TemporaryDirectory() as folder:
        attack = LIRAAttack(
            output_dir=folder,
            write_report=False,
            n_shadow_models=shadows,
            mode="online-carlini",
            report_individual=True,
        )
        attack.attack(Target(model=model, X_train=x, y_train=y, X_test=tx, y_test=ty))
    told = attack.result
    score, member = np.array(told["member_prob"]), np.array(told["member"])
    score = np.nan_to_num(score, nan=0.0)  # the logarithm of the likelihood ratio, higher for members
    cut = np.quantile(score[member == 0], 0.99)
    print(json.dumps({"auc": float(roc_auc_score(member, score)), "tpr": float(np.mean(score[member == 1] > cut))}))


if __name__ == "__main__":
    main()
