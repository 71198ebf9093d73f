"""Adapters that only PEFT computes exactly: put into the base, and taken out again without a trace.

PEFT's own ``unload`` keeps modules that were saved whole in the place of the base's. Here the base's modules themselves are
remembered before, and put back afterwards, whatever stands in their place by then.

PEFT also asks for the base's state dict, and bitsandbytes unpacks for that what it had packed for this CPU, and loses the last
bits of its scales: a 4-bit base would be another one afterwards, so it is refused there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.adapters.canary import packs
from assistant.errors import ModelError
from assistant.models.hub import first_line
from assistant.models.quiet import quiet


def restore(model: Any, modules: Mapping[str, Any]) -> None:
    """Put a base's own modules back into their places; may be cut off, and done again.

    Args:
        model: the base.
        modules: all of its own, by name.
    """
    for name, module in modules.items():
        parent, _, leaf = name.rpartition(".")
        owner = modules[parent]
        if name and getattr(owner, leaf) is not module:
            setattr(owner, leaf, module)
    for trace in ("peft_config", "_hf_peft_config_loaded"):
        model.__dict__.pop(trace, None)


def inject(model: Any, folder: Path) -> None:
    """Let PEFT put an adapter into a base.

    Raises:
        ModelError: it can't; the base is to be restored.
    """
    if packs(model):
        raise ModelError(
            "this adapter can only be served by peft, which would change the 4-bit weights that are packed for this CPU",
            hint="load the base with --quantization none or int8",
        )
    from peft import PeftModel

    try:
        with quiet():
            PeftModel.from_pretrained(model, str(folder), is_trainable=False).eval()
    except Exception as error:  # what is wrong with the folder may show in any way
        raise ModelError(
            f"peft can't load the adapter: {type(error).__name__}: {first_line(error)}", hint="take a whole copy of the folder"
        ) from error
