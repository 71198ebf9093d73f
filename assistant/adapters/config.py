"""What ``adapter_config.json`` says: can our own hooks compute such an adapter exactly, must PEFT, or can nobody (pure).

A setting that isn't known here to be harmless counts as one that only PEFT understands.
"""

import hashlib
import json
import math
import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from assistant.errors import ModelError

LORA = "LORA"
SLOW_TYPES = ("IA3", "LOHA", "LOKR", "OFT", "VERA")
"""Kinds that PEFT puts into a model's layers, beside LoRA. Others lengthen the prompt, and leave no room for it here."""
BASE_CHANGING = ("pissa", "corda", "olora", "loftq", "lora_ga")
"""Ways to begin a training that take the adapter's first values out of the base: it belongs to a base that nobody has."""
EXACT = frozenset(
    "task_type peft_type auto_mapping peft_version base_model_name_or_path revision inference_mode r target_modules "
    "exclude_modules lora_alpha lora_dropout fan_in_fan_out bias use_rslora init_lora_weights layers_to_transform "
    "layers_pattern rank_pattern alpha_pattern megatron_core loftq_config eva_config corda_config lora_ga_config "
    "qalora_group_size runtime_config ensure_weight_tying layer_replication velora_config".split()
)
"""Settings that our hooks follow, that matter in training alone, or that are refused elsewhere here."""
SLOW = {
    "use_dora": "it was trained with DoRA",
    "modules_to_save": "it brings whole modules of its own",
    "trainable_token_indices": "it brings embeddings of its own for some tokens",
    "lora_bias": "it adds biases",
    "target_parameters": "it changes parameters that are no layer",
}
"""What PEFT alone computes exactly, in words."""
COMPUTING = ("peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "fan_in_fan_out", *SLOW)
"""Settings that shape what a LoRA computes, beside its weights. Of what only PEFT knows every setting that is made counts."""


def check_config(config: Mapping[str, Any], name: str) -> None:
    """Refuse an adapter that nothing here can use.

    Raises:
        ModelError: with the setting that stands against it.
    """
    kind = config.get("peft_type")
    if kind not in (LORA, *SLOW_TYPES):
        raise ModelError(
            f"the adapter {name!r} is of PEFT's kind {kind!r}, which isn't used here: only {', '.join((LORA, *SLOW_TYPES))} are",
            hint="train a LoRA: finetune sft --help",
        )
    if kind != LORA:
        return
    _check_numbers(config, name)
    begun = config.get("init_lora_weights", True)
    if isinstance(begun, str) and begun.lower().startswith(BASE_CHANGING):
        raise ModelError(
            f"the adapter {name!r} began with init_lora_weights={begun!r}, which changes the base too",
            hint="save it as a plain LoRA: save_pretrained(…, path_initial_model_for_weight_conversion=…)",
        )
    for setting, harmless, why in (
        ("bias", "none", "biases of the base itself"),
        ("layer_replication", None, "copies of the base's layers"),
        ("megatron_config", None, "another library's model (and names what of it is imported)"),
        ("alora_invocation_tokens", None, "to be told where certain tokens of the prompt stand"),
    ):
        if (value := config.get(setting, harmless)) not in (harmless, None, []):
            raise ModelError(
                f"the adapter {name!r} has {setting}={value!r}: it needs {why}, which isn't done here",
                hint=f"train it again without {setting}",
            )


def slow_because(config: Mapping[str, Any]) -> str | None:
    """Why only PEFT computes an adapter exactly, in words; None: our own hooks do, whatever its ranks and layers."""
    if config.get("peft_type") != LORA:
        return f"it is no LoRA but a {config.get('peft_type')}"
    for setting, why in SLOW.items():
        if config.get(setting):
            return why
    other = sorted(setting for setting, value in config.items() if value and setting not in EXACT)
    return f"only PEFT knows its setting {other[0]!r}" if other else None


def settings_hash(config: Mapping[str, Any]) -> str:
    """A hash of the settings that shape what an adapter computes, beside its weights; 16 hex digits."""
    counting = {*COMPUTING, *(setting for setting, value in config.items() if value and setting not in EXACT)}
    settings = {setting: config.get(setting) or None for setting in counting}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def rank_of(config: Mapping[str, Any], layer: str) -> int:
    """The rank that a layer has by the config; a pattern names the end of a layer's name, as in PEFT."""
    patterns: Mapping[str, int] = config.get("rank_pattern") or {}
    return int(next((rank for pattern, rank in patterns.items() if re.match(_end(pattern), layer)), config["r"]))


def _end(pattern: str) -> str:
    return rf"(.*\.)?({pattern})$"


def _check_numbers(config: Mapping[str, Any], name: str) -> None:
    faults = [] if _is_rank(config.get("r")) else ["r"]
    faults += [] if _is_positive(config.get("lora_alpha")) else ["lora_alpha"]
    patterns: tuple[tuple[str, Callable[[object], bool]], ...] = (("rank_pattern", _is_rank), ("alpha_pattern", _is_positive))
    faults += [setting for setting, fits in patterns if not _is_pattern(config.get(setting), fits)]
    if faults:
        raise ModelError(
            f"adapter_config.json of {name!r} is damaged: {faults[0]} is {reprlib.repr(config.get(faults[0]))}",
            hint="take a whole copy of the folder, or train it again",
        )


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_rank(value: object) -> bool:
    return isinstance(value, int) and _is_positive(value)


def _is_pattern(value: object, fits: Callable[[object], bool]) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not all(fits(number) for number in value.values()):
        return False
    try:
        return all(re.compile(_end(pattern)) for pattern in value)  # as it is used: some fit alone, and not at the end of a name
    except (re.error, OverflowError, RecursionError):
        return False
