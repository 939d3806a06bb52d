"""DP-SGD of Opacus on every site's own rows and on all rows together; run by the interpreter of WARDGATE_OPACUS.

python network_opacus.py FILE.npz EPSILON DELTA SEED OUT.npz

FILE holds x and y of each site and all test rows tx; OUT gets, for each setting, the log-odds of every test row by
every site's own network and by the one of all rows. The network is Wardgate's: 32 units, group norm, ReLU.
"""

import sys
import warnings
from functools import cache

import numpy as np
import torch
from opacus import PrivacyEngine
from opacus.accountants.utils import get_noise_multiplier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
SETTINGS = {"Adam, rate 0.03": ("Adam", 0.03)}
EPOCHS, PARTS = 12, 4
file, epsilon, delta, seed, out = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]


@cache
def noise(batches):
    """Return what `make_private_with_epsilon` would take; the same for every site with as many batches."""
    return get_noise_multiplier(
        target_epsilon=epsilon, target_delta=delta, sample_rate=1 / batches, epochs=EPOCHS, accountant="prv"
    )


def fitted(x, y, tx, optimiser, rate):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(x.shape[1], 32), nn.GroupNorm(1, 32), nn.ReLU(), nn.Linear(32, 1))
    steps = getattr(torch.optim, optimiser)(network.parameters(), lr=rate)
    loader = DataLoader(TensorDataset(x, y), batch_size=max(1, len(y) // PARTS))
    network, steps, loader = PrivacyEngine(accountant="prv").make_private(
        module=network, optimizer=steps, data_loader=loader, noise_multiplier=noise(len(loader)), max_grad_norm=1.0
    )
    for _ in range(EPOCHS):
        for rows, labels in loader:
            if len(rows):
                steps.zero_grad()
                nn.functional.binary_cross_entropy_with_logits(network(rows)[:, 0], labels).backward()
                steps.step()
    network.eval()
    with torch.no_grad():
        return network(tx)[:, 0].numpy()


with np.load(file, allow_pickle=False) as held:
    sites = sorted(name[2:] for name in held.files if name.startswith("x/"))
    own = {site: [torch.tensor(held[f"{kind}/{site}"], dtype=torch.float32) for kind in "xy"] for site in sites}
    tx = torch.tensor(held["tx"], dtype=torch.float32)
own["all rows together"] = [torch.cat([own[site][place] for site in sites]) for place in (0, 1)]
found = {
    f"{setting}/{site}": fitted(x, y, tx, *how) for setting, how in SETTINGS.items() for site, (x, y) in own.items()
}
np.savez(out, **found)
