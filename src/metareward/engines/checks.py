"""What makes a request unanswerable before any model has seen it. The same for every engine."""

from metareward.engines.base import Request


def fault_of(request: Request) -> str | None:
    """Why no engine can answer this request; None if one can."""
    sampling, forced = request.sampling, request.forced
    if not request.messages:
        return "there are no messages; a request needs at least one"
    if sampling.max_tokens < 0:
        return f"max_tokens is {sampling.max_tokens}; it must be 0 or more"
    if not sampling.temperature >= 0:
        return f"temperature is {sampling.temperature}; it must be 0 or more"
    if not 0 < sampling.top_p <= 1:
        return f"top_p is {sampling.top_p}; it must be above 0 and at most 1"
    if "" in sampling.stop:
        return "a stop string is empty; leave it out"
    if request.seed < 0:
        return f"seed is {request.seed}; it must be 0 or more"
    if forced is not None and len(set(forced.choices)) != max(1, len(forced.choices)):
        return f"the forced choices {forced.choices} are none or not distinct"
    return None
