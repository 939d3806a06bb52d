"""DP-SGD of Opacus on a file of numbers in [-1, 1]; run by the interpreter that WARDGATE_OPACUS names.

python dp_classifiers_opacus.py FILE.npz EPSILON DELTA SEED -> one JSON line, AUROC by network and setting
"""

import json
import sys
import warnings

import numpy as np
import torch
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
file, epsilon, delta, seed = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
with np.load(file, allow_pickle=False) as data:
    x, y, tx, ty = (torch.tensor(data[name], dtype=torch.float32) for name in ("x", "y", "tx", "ty"))


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    events = labels == 1
    return float((ranks[events].sum() - events.sum() * (events.sum() + 1) / 2) / (events.sum() * (~events).sum()))


found = {}
for rate, epochs in ((2.0, 10), (2.0, 20)):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(x.shape[1], 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    loader = DataLoader(TensorDataset(x, y), batch_size=2048)
    engine = PrivacyEngine(accountant="prv")
    network, optimizer, loader = engine.make_private_with_epsilon(
        module=network, optimizer=optimizer, data_loader=loader,
        target_epsilon=epsilon, target_delta=delta, epochs=epochs, max_grad_norm=1.0,
    )  # fmt: skip
    for _ in range(epochs):
        for rows, labels in loader:
            if len(rows):
                optimizer.zero_grad()
                nn.functional.binary_cross_entropy_with_logits(network(rows)[:, 0], labels).backward()
                optimizer.step()
    with torch.no_grad():
        scores = network(tx)[:, 0].numpy()
    found[f"network of 32, rate {rate:g}, {epochs} epochs"] = auroc(ty.numpy(), scores)
print(json.dumps(found))
