"""CKKS sums with TenSEAL on the vectors of benchmarks/sums.py; run by an interpreter that has `tenseal`.

    python benchmarks/peers/ckks_tenseal.py '{"sites": 10, "entries": 300, "seed": 1, "full": true}'

TenSEAL as its tutorials use it: degree 8192, moduli of 60, 40, 40 and 60 bits, scale 2^40, encryption by a public key,
long vectors cut into blocks of 4096 entries. No protocol around it: one key, no check of what is decrypted. Not `full`
means that three sites encrypt and that the hub adds their ciphertexts in place of the others'.

Prints one line of JSON: median CPU seconds of a site's encryption, of the hub's additions (reading included), of one
decryption, uploaded bytes of one site, the largest error of the sum, and a digest of the vectors.
"""

import hashlib
import json
import statistics
import sys
import time

import numpy as np
import tenseal

SLOTS = 4096


def vector(seed, site, entries):
    return np.random.default_rng([seed, site]).uniform(-8, 8, entries)


def run(*, sites, entries, seed, full):
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40, 60], n_threads=1
    )
    context.global_scale = 2**40
    public = tenseal.context_from(context.serialize(save_secret_key=False))
    digest = hashlib.sha256()
    expected = np.zeros(entries)
    seconds, sent = [], []
    for site in range(sites if full else min(sites, 3)):
        own = vector(seed, site, entries)
        digest.update(own.tobytes())
        expected += own
        begin = time.process_time()
        starts = range(0, entries, SLOTS)
        blocks = [tenseal.ckks_vector(public, own[start : start + SLOTS].tolist()).serialize() for start in starts]
        seconds.append(time.process_time() - begin)
        sent.append(blocks)
    begin = time.process_time()
    total = None
    for site in range(sites):
        blocks = [tenseal.ckks_vector_from(public, block) for block in sent[site % len(sent)]]
        total = blocks if total is None else [one + other for one, other in zip(total, blocks, strict=True)]
    written = [block.serialize() for block in total]
    hub = time.process_time() - begin
    begin = time.process_time()
    found = np.concatenate([tenseal.ckks_vector_from(context, block).decrypt() for block in written])
    return {
        "client": statistics.median(seconds),
        "hub": hub,
        "open": time.process_time() - begin,
        "bytes": sum(map(len, sent[0])),
        "error": float(np.max(np.abs(found - expected))) if full else None,
        "vectors": digest.hexdigest(),
    }


if __name__ == "__main__":
    print(json.dumps(run(**json.loads(sys.argv[1]))))
