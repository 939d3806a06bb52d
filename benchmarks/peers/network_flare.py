"""FLARE's own FedAvg recipe on a network of one hidden layer; otherwise as fedavg_flare.py says.

unshare --net sh -c 'ip link set lo up; PYTHON benchmarks/peers/network_flare.py SPEC'
"""

import json
import sys
from pathlib import Path

import fedavg_flare
from network_site import begun

fedavg_flare.TRAIN = """
import sys
import numpy as np
sys.path.insert(0, {here!r})
from fedavg_site import persons, stamp
from network_site import settings, trained
import nvflare.client as flare
flare.init()
site = flare.get_site_name()
x, y = persons({data!r}, site)
how = settings({data!r})
while flare.is_running():
    model = flare.receive()
    if model is None:
        break
    stamp({stamps!r} + "/" + site, site, model.current_round)
    vector = np.asarray(model.params["numpy_key"], dtype=float)
    vector = trained(vector, x, y, number=int(model.current_round), site=site, how=how)
    flare.send(flare.FLModel(params={{"numpy_key": vector}}, params_type="FULL", metrics={{"accuracy": 0.0}},
                             meta={{"NUM_STEPS_CURRENT_ROUND": len(y)}}))
"""


if __name__ == "__main__":
    spec = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps(fedavg_flare.run(spec | {"start": begun(spec["data"]).tolist()})))
