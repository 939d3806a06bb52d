"""diffprivlib's classifiers on a file of numbers in [-1, 1]; run by the interpreter that WARDGATE_DIFFPRIVLIB names.

python dp_classifiers_diffprivlib.py FILE.npz EPSILON SEED -> one JSON line, AUROC by classifier and setting

It needs scikit-learn below 1.4 (e.g. diffprivlib==0.6.5 scikit-learn==1.3.2 numpy<2): later ones take the mean of the
loss where diffprivlib 0.6 adds noise made for the sum, and its logistic regression then learns nothing.
"""

import json
import sys
import warnings

import numpy as np
import sklearn
from diffprivlib.models import LogisticRegression, RandomForestClassifier
from sklearn.metrics import roc_auc_score

if tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 4):
    raise SystemExit(f"found scikit-learn {sklearn.__version__}, expected one below 1.4 beside diffprivlib 0.6")
warnings.filterwarnings("ignore")
file, epsilon, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
with np.load(file, allow_pickle=False) as data:
    x, y, tx, ty = (data[name] for name in ("x", "y", "tx", "ty"))
found = {}
for norm in (1.0, 3.0):
    model = LogisticRegression(epsilon=epsilon, data_norm=norm, max_iter=500, random_state=seed)
    model.fit(x, y)
    found[f"logistic, rows clipped to {norm:g}"] = roc_auc_score(ty, tx @ model.coef_[0])
bounds = (np.full(x.shape[1], -1.0), np.full(x.shape[1], 1.0))
for trees, depth in ((10, 3), (10, 5), (50, 5), (25, 10)):
    forest = RandomForestClassifier(
        n_estimators=trees, max_depth=depth, epsilon=epsilon, bounds=bounds, classes=[0, 1], random_state=seed
    )
    forest.fit(x, y)
    found[f"forest, {trees} trees of depth {depth}"] = roc_auc_score(ty, forest.predict_proba(tx)[:, 1])
print(json.dumps(found))
