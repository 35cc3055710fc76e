"""Measuring restored images by each paper's own protocol, and reports of the results."""

from tfdeblur.evaluation.protocols import PROTOCOLS, Protocol
from tfdeblur.evaluation.scoring import Score, evaluate, summarise

__all__ = ["PROTOCOLS", "Protocol", "Score", "evaluate", "summarise"]
