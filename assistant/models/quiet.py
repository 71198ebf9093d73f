"""Silence around the model libraries: what they log, warn of or draw never reaches the user's terminal.

What matters of it is said by this package in its own words: as a notice, or as an error with its hint.
"""

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

LIBRARIES = ("transformers", "huggingface_hub", "bitsandbytes", "accelerate", "torch", "peft", "tokenizers")
Wrap = Callable[[Iterable[Any]], Iterable[Any]]


@contextmanager
def quiet(wrap_weights: Wrap | None = None) -> Iterator[None]:
    """Keep transformers and those beneath it silent; their telemetry is off from the first call on.

    Args:
        wrap_weights: given the weights as transformers goes through them while loading; what it returns is gone through instead.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns after a fork, and one text at a time gains nothing
    import huggingface_hub.constants
    from transformers.utils import logging as transformers_logging

    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    # Says at every int8 product that it casts its input, for as long as the model answers: silenced for good.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in LIBRARIES}

    def without_bar(_: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        items = given[0] if given else ()
        weights = wrap_weights is not None and options.get("desc") == "Loading weights"
        empty: Any = transformers_logging.EmptyTqdm  # untyped
        return empty(wrap_weights(items) if weights and wrap_weights else items)

    before = transformers_logging.set_tqdm_hook(without_bar)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_tqdm_hook(before)
        for logger, level in loggers.items():
            logger.setLevel(level)
