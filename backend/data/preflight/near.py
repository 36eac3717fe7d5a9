"""Rows that are nearly the same: MinHash sketches of their word triples, candidates by locality-sensitive hashing.

Through `rensa`, not `datasketch`: the latter needs SciPy (143 MB; 0.6 s to import, of the 0.7 s that a plan may take)
and makes the sketches of 1,000 rows in 100 ms instead of 3.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from backend.data.constants import constants

TRIPLE = 3
PERMUTATIONS, BANDS, SEED = 64, 16, 1
"""Bands of four: a pair at a similarity of 0.7 is a candidate in 98.8 of 100 cases, one of 0.8 in 99.98."""
COMMON_SAMPLE = 200
COMMON_FRACTION, COMMON_LEAST = 0.05, 5
"""Triples in more of the sampled rows than this are the data's boilerplate, not what makes two rows alike."""
CHUNK = 1000
"""Rows whose triples are in memory at once."""
WORDS = 3000
"""Words of a row that count: the beginning of a long document tells it apart."""
CANDIDATES = 50
"""Most earlier rows that a row is compared with: rows made from one template are all candidates of each other."""
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+"
)  # a letter of scripts without spaces, or a word


def near_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs (later, earlier) of texts that share most of their word triples; equal texts are pairs, too."""
    from rensa import RMinHash, RMinHashLSH

    similarity = constants().near_similarity
    common = _common([_triples(text) for text in texts[:: max(1, len(texts) // COMMON_SAMPLE)]])
    rows: list[int] = []
    sketches: list[RMinHash] = []
    for start in range(0, len(texts), CHUNK):  # the triples of all rows take ten times the memory of the sketches
        known = enumerate(map(_triples, texts[start : start + CHUNK]), start)
        own = [(at, triples) for at, every in known if (triples := every - common)]
        rows += [at for at, _ in own]
        sketches += RMinHash.from_token_sets([triples for _, triples in own], PERMUTATIONS, SEED)
    index = RMinHashLSH(similarity, PERMUTATIONS, BANDS)
    index.insert_many(sketches)
    for place, candidates in enumerate(index.query_all(sketches)):
        for other in sorted(x for x in candidates if x < place)[:CANDIDATES]:
            if sketches[place].jaccard(sketches[other]) >= similarity:
                yield rows[place], rows[other]


def _triples(text: str) -> set[str]:
    words = _WORD.findall(text.lower())[:WORDS]
    if len(words) < TRIPLE:
        return {" ".join(words)} if words else set()
    return set(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def _common(looked_at: Sequence[set[str]]) -> set[str]:
    counts = Counter(triple for triples in looked_at for triple in triples)
    most = max(COMMON_LEAST, COMMON_FRACTION * len(looked_at))
    return {triple for triple, count in counts.items() if count > most}
