"""Flower's own FedAvg on a network of one hidden layer; otherwise as fedavg_flower.py says.

unshare --net sh -c 'ip link set lo up; PYTHON benchmarks/peers/network_flower.py SPEC'
"""

import json
import sys
from pathlib import Path

import fedavg_flower

fedavg_flower.CLIENT = """
import sys
sys.path.insert(0, {here!r})
from fedavg_site import persons, stamp
from network_site import settings, trained
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
app = ClientApp()

@app.train()
def train(message, context):
    site = {sites!r}[int(context.node_config["partition-id"])]
    number = int(message.content["config"]["server-round"])
    stamp({stamps!r} + "/" + site, site, number)
    x, y = persons({data!r}, site)
    vector = message.content["arrays"].to_numpy_ndarrays()[0]
    vector = trained(vector, x, y, number=number - 1, site=site, how=settings({data!r}))
    content = RecordDict({{"arrays": ArrayRecord(numpy_ndarrays=[vector]),
                           "metrics": MetricRecord({{"num-examples": len(y)}})}})
    return Message(content=content, reply_to=message)
"""
fedavg_flower.SERVER = fedavg_flower.SERVER.replace("numpy_ndarrays=[np.zeros({columns})]", "numpy_ndarrays=[START]")
fedavg_flower.SERVER = fedavg_flower.SERVER.replace(
    "app = ServerApp()", "import sys\nsys.path.insert(0, {here!r})\nfrom network_site import begun\n"
    "START = begun({data!r})\napp = ServerApp()"
)  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(fedavg_flower.run(json.loads(Path(sys.argv[1]).read_text()))))
