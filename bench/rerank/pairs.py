"""Queries and documents of every kind that is sent to be ranked, the same in every run."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "embeddings"))

import texts  # noqa: E402

QUERIES = [
    "How do I get a refund?",
    "wo fährt der Zug nach Zürich ab",
    "what does the river carry past the stone bridge in winter, and who keeps the engine of the mill",
    "42",
]


def pairs():
    """Every query with a quarter of the texts; some are longer than a model takes."""
    every = [text for text in texts.texts() if text.strip()]
    return [(query, document) for at, query in enumerate(QUERIES) for document in every[at :: len(QUERIES)]]
