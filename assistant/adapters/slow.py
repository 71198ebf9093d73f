"""Adapters that only PEFT computes exactly: put into the base, and taken out again without a trace.

PEFT's own ``unload`` keeps modules that were saved whole in the place of the base's. Here the base's modules themselves are
remembered before, and put back afterwards, whatever stands in their place by then.

PEFT also asks for the base's state dict, and bitsandbytes unpacks for that what it had packed for this CPU, and loses the last
bits of its scales: a 4-bit base would be another one afterwards, so it is refused there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.adapters.canary import packs
from assistant.errors import ModelError
from assistant.models.hub import first_line
from assistant.models.quiet import quiet


@dataclass(frozen=True, slots=True)
class Injected:
    """A base with an adapter in it.

    Attributes:
        model: the base.
        modules: all of its own modules, by name.
    """

    model: Any
    modules: dict[str, Any]

    def take_out(self) -> None:
        """Put the base's own modules back into their places."""
        for name, module in self.modules.items():
            parent, _, leaf = name.rpartition(".")
            owner = self.modules[parent]
            if name and getattr(owner, leaf) is not module:
                setattr(owner, leaf, module)
        for trace in ("peft_config", "_hf_peft_config_loaded"):
            self.model.__dict__.pop(trace, None)


def inject(model: Any, folder: Path) -> Injected:
    """Let PEFT put an adapter into a base.

    Raises:
        ModelError: it can't; the base is as before.
    """
    if packs(model):
        raise ModelError(
            f"{str(folder)!r} can only be served by peft, which would change the 4-bit weights that are packed for this CPU",
            hint="load the base with --quantization none or int8",
        )
    from peft import PeftModel

    injected = Injected(model, dict(model.named_modules()))
    try:
        with quiet():
            PeftModel.from_pretrained(model, str(folder), is_trainable=False).eval()
    except Exception as error:  # what is wrong with the folder may show in any way
        injected.take_out()
        raise ModelError(
            f"peft can't load {str(folder)!r}: {type(error).__name__}: {first_line(error)}",
            hint="take a whole copy of the folder",
        ) from error
    except BaseException:
        injected.take_out()
        raise
    return injected
