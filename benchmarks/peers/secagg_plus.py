"""Flower's SecAgg+ on the vectors of benchmarks/sums.py, in one process; run by an interpreter that has `flwr`.

    python benchmarks/peers/secagg_plus.py '{"sites": 10, "entries": 300, "lost": 0, "seed": 1, "full": true}'

The client's half is Flower's own code, stage by stage (flwr.client.mod.secure_aggregation.secaggplus_mod). The
server's half follows its SecAggPlusWorkflow step by step with Flower's functions, without its grid and messages.
Everybody is everybody's neighbour, as in our plan up to 50 sites; half of the shares give a secret back; clipping
range, quantisation and modulus are the workflow's defaults. Lost sites vanish after they shared their keys. Not
`full` means that only three clients mask, and that the server adds their vectors in place of the others': its time
is right and its sum is not. Its masks come from numpy's RandomState, seeded with 32 bits folded from the key; ours
from ChaCha20 with 256 bits. Its shares are computed in Python.

Prints one line of JSON: median client CPU seconds, server CPU seconds, uploaded bytes of one client, the largest
error of the sum, and a digest of the vectors.
"""

import hashlib
import json
import logging
import os
import statistics
import sys
import time

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

import numpy as np
from flwr.client.mod.secure_aggregation.secaggplus_mod import (
    SecAggPlusState,
    _collect_masked_vectors,
    _setup,
    _share_keys,
    _unmask,
)
from flwr.common import bytes_to_ndarray, ndarrays_to_parameters
from flwr.common.secure_aggregation import ndarrays_arithmetic as arrays
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import decrypt, generate_shared_key
from flwr.common.secure_aggregation.quantization import dequantize
from flwr.common.secure_aggregation.secaggplus_constants import Key
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen, share_keys_plaintext_separate
from flwr.supercore.primitives.asymmetric import bytes_to_private_key, bytes_to_public_key

logging.disable(logging.WARNING)
CLIPPING, STEPS, MODULUS, WEIGHT = 8.0, 2**22, 2**32, 1000.0


def vector(seed, site, entries):
    return np.random.default_rng([seed, site]).uniform(-8, 8, entries)


def run(*, sites, entries, seed, full, lost=0):
    threshold = sites // 2 + 1
    setup = {
        Key.SAMPLE_NUMBER: sites,
        Key.SHARE_NUMBER: sites,
        Key.THRESHOLD: threshold,
        Key.CLIPPING_RANGE: CLIPPING,
        Key.TARGET_RANGE: STEPS,
        Key.MOD_RANGE: MODULUS,
        Key.MAX_WEIGHT: WEIGHT,
    }
    seconds = dict.fromkeys(range(1, sites + 1), 0.0)
    sent = dict.fromkeys(seconds, 0)
    states = {site: SecAggPlusState(nid=site) for site in seconds}

    def at(site, step, *given):
        begin = time.process_time()
        found = step(states[site], *given)
        seconds[site] += time.process_time() - begin
        return found

    keys = {}
    for site in seconds:
        answer = at(site, _setup, setup)
        keys[site] = [answer[Key.PUBLIC_KEY_1], answer[Key.PUBLIC_KEY_2]]
        sent[site] += sum(map(len, keys[site]))
    inbox = {site: ([], []) for site in seconds}
    for site in seconds:
        answer = at(site, _share_keys, {str(other): keys[other] for other in seconds})
        for other, packet in zip(answer[Key.DESTINATION_LIST], answer[Key.CIPHERTEXT_LIST], strict=True):
            inbox[other][0].append(site)
            inbox[other][1].append(packet)
            sent[site] += len(packet)
    active = list(seconds)[: sites - lost]
    dead = list(seconds)[sites - lost :]
    masking = active if full else active[:3]
    expected = np.zeros(entries)
    digest = hashlib.sha256()
    masked = {}
    for site in masking:
        own = vector(seed, site - 1, entries)
        digest.update(own.tobytes())
        expected += own
        configs = {Key.SOURCE_LIST: inbox[site][0], Key.CIPHERTEXT_LIST: inbox[site][1]}
        answer = at(site, _collect_masked_vectors, configs, int(WEIGHT), ndarrays_to_parameters([own]))
        masked[site] = answer[Key.MASKED_PARAMETERS]
        sent[site] += sum(map(len, masked[site]))
    for site in set(active) - set(masking):
        for source, packet in zip(*inbox[site], strict=True):
            plain = decrypt(states[site].ss2_dict[source], packet)
            _, _, states[site].rd_seed_share_dict[source], states[site].sk1_share_dict[source] = (
                share_keys_plaintext_separate(plain)
            )
    shares = {site: [] for site in seconds}
    for site in active:
        answer = at(site, _unmask, {Key.ACTIVE_NODE_ID_LIST: active, Key.DEAD_NODE_ID_LIST: dead})
        for owner, share in zip(answer[Key.NODE_ID_LIST], answer[Key.SHARE_LIST], strict=True):
            shares[owner].append(share)
            sent[site] += len(share)

    begin = time.process_time()
    summed = None
    for index in range(len(active)):
        one = [bytes_to_ndarray(data) for data in masked[masking[index % len(masking)]]]
        summed = one if summed is None else arrays.parameters_addition(summed, one)
    summed = arrays.parameters_mod(summed, MODULUS)
    dimensions = arrays.get_parameters_shape(summed)
    for owner, given in shares.items():
        secret = combine_shares(given)
        if owner in active:
            summed = arrays.parameters_subtraction(summed, pseudo_rand_gen(secret, MODULUS, dimensions))
            continue
        for other in active:
            shared = generate_shared_key(bytes_to_private_key(secret), bytes_to_public_key(keys[other][0]))
            mask = pseudo_rand_gen(shared, MODULUS, dimensions)
            change = arrays.parameters_addition if owner > other else arrays.parameters_subtraction
            summed = change(summed, mask)
    total, quantised = arrays.factor_extract(arrays.parameters_mod(summed, MODULUS))
    mean = dequantize(quantised, CLIPPING, STEPS)[0] - (len(active) - 1) * CLIPPING
    mean = mean * (STEPS / max(int(total), 1))
    server = time.process_time() - begin
    return {
        "client": statistics.median(seconds[site] for site in masking),
        "hub": server,
        "bytes": max(sent[site] for site in masking),
        "error": float(np.max(np.abs(mean * len(active) - expected))) if full else None,
        "vectors": digest.hexdigest(),
    }


if __name__ == "__main__":
    print(json.dumps(run(**json.loads(sys.argv[1]))))
