"""The Merkle log against the vectors that everybody uses, against a slow oracle, and against forged proofs."""

import base64
import hashlib
from collections.abc import Sequence

import pytest

from wardgate.records.errors import Broken, Invalid
from wardgate.records.log import (
    MerkleLog,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
)

KNOWN = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
"""The eight leaves of the vectors that Certificate Transparency implementations share, with their roots by size."""

KNOWN_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)

MOST = 40
LEAVES = [bytes([number]) * (number % 5) + b"leaf" for number in range(MOST)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def slow_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + slow_root(leaves[:k]) + slow_root(leaves[k:])).digest()


def included(size: int, index: int, proof: Sequence[bytes], *, leaf: bytes | None = None) -> None:
    check_inclusion(
        leaf=LEAVES[index] if leaf is None else leaf, index=index, size=size, proof=proof, head=root(HASHES[:size])
    )


def consistent(earlier: int, size: int, proof: Sequence[bytes]) -> None:
    check_consistency(
        earlier=earlier, earlier_head=root(HASHES[:earlier]), size=size, head=root(HASHES[:size]), proof=proof
    )


def mutations(proof: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    """A proof with a bit flipped in each part, each part left out, one more part, two parts exchanged."""
    found = [(*proof, bytes(32)), (bytes(32), *proof), (*proof, *proof[-1:])] if proof else [(bytes(32),)]
    for place, part in enumerate(proof):
        found.append((*proof[:place], bytes([part[0] ^ 1]) + part[1:], *proof[place + 1 :]))
        found.append((*proof[:place], *proof[place + 1 :]))
        if place and proof[place - 1] != part:
            found.append((*proof[: place - 1], part, proof[place - 1], *proof[place + 1 :]))
    return found


def test_the_known_roots_hold() -> None:
    for size, expected in enumerate(KNOWN_ROOTS):
        assert slow_root(KNOWN[:size]).hex() == expected
        assert root([leaf_hash(leaf) for leaf in KNOWN[:size]]).hex() == expected


def test_the_known_proofs_of_rfc_9162_hold() -> None:
    """Section 2.1.5: seven leaves d0 to d6; a, b, c, d, e, f are leaf hashes, g to l inner nodes."""
    leaves = KNOWN[:7]
    a, b, c, d, e, f, j = (leaf_hash(leaf) for leaf in leaves)

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\x01" + left + right).digest()

    g, h, i = node(a, b), node(c, d), node(e, f)
    k, last = node(g, h), node(i, j)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    assert inclusion_proof(hashes, 0) == (b, h, last)
    assert inclusion_proof(hashes, 3) == (c, g, last)
    assert inclusion_proof(hashes, 4) == (f, j, k)
    assert inclusion_proof(hashes, 6) == (i, k)
    assert consistency_proof(hashes, 3) == (c, d, g, last)
    assert consistency_proof(hashes, 4) == (last,)
    assert consistency_proof(hashes, 6) == (i, j, k)


def test_every_root_is_the_slow_root() -> None:
    for size in range(MOST + 1):
        assert root(HASHES[:size]) == slow_root(LEAVES[:size])


def test_every_inclusion_proof_holds_for_its_leaf_and_no_other() -> None:
    for size in range(1, MOST + 1):
        for index in range(size):
            proof = inclusion_proof(HASHES[:size], index)
            included(size, index, proof)
            with pytest.raises(Broken):
                included(size, index, proof, leaf=b"another")
            if size > 1:
                with pytest.raises(Broken):
                    included(size, (index + 1) % size, proof)


def test_a_mutated_inclusion_proof_fails() -> None:
    for size in (1, 2, 3, 7, 8, 13, 40):
        for index in {0, size // 2, size - 1}:
            for forged in mutations(inclusion_proof(HASHES[:size], index)):
                with pytest.raises(Broken):
                    included(size, index, forged)


def test_an_inner_node_is_no_leaf() -> None:
    """A leaf made of two hashes would stand for them if leaves and nodes were hashed alike."""
    hashes = HASHES[:4]
    forged = b"\x01" + hashes[0] + hashes[1]
    proof = (root(hashes[2:]),)
    for leaf in (forged, forged[1:]):
        with pytest.raises(Broken):
            check_inclusion(leaf=leaf, index=0, size=2, proof=proof, head=root(hashes))


def test_an_index_outside_the_tree_fails() -> None:
    proof = inclusion_proof(HASHES[:8], 0)
    for index, size in ((-1, 8), (8, 8), (0, 0), (16, 8)):
        with pytest.raises(Broken):
            check_inclusion(leaf=LEAVES[0], index=index, size=size, proof=proof, head=root(HASHES[:8]))
    for index in (-1, 8):
        with pytest.raises(Invalid):
            inclusion_proof(HASHES[:8], index)


def test_every_consistency_proof_holds_for_its_two_sizes() -> None:
    for size in range(1, MOST + 1):
        for earlier in range(1, size + 1):
            consistent(earlier, size, consistency_proof(HASHES[:size], earlier))


def test_a_mutated_consistency_proof_fails() -> None:
    for size in (2, 3, 7, 8, 13, 40):
        for earlier in range(1, size + 1):
            proof = consistency_proof(HASHES[:size], earlier)
            for forged in mutations(proof):
                with pytest.raises(Broken):
                    consistent(earlier, size, forged)


def test_a_rewritten_log_is_found_by_its_old_head() -> None:
    rewritten = [*HASHES[:3], leaf_hash(b"rewritten"), *HASHES[4:20]]
    for earlier in range(4, 20):
        with pytest.raises(Broken):
            check_consistency(
                earlier=earlier,
                earlier_head=root(HASHES[:earlier]),
                size=20,
                head=root(rewritten),
                proof=consistency_proof(rewritten, earlier),
            )
    for earlier in (0, 21):
        with pytest.raises(Broken):
            consistent(earlier, 20, ())
        with pytest.raises(Invalid):
            consistency_proof(HASHES[:20], earlier)


def test_a_head_says_origin_size_and_root() -> None:
    log = MerkleLog(origin="wardgate/site/north")
    assert [log.append(leaf) for leaf in KNOWN] == list(range(8))
    origin, size, head, end = log.checkpoint().split("\n")
    assert (origin, size, end) == ("wardgate/site/north", "8", "")
    assert base64.b64decode(head).hex() == KNOWN_ROOTS[8]
