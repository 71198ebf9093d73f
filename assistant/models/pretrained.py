"""Config and tokenizer of a checkpoint as transformers reads them: of a model that writes text and needs no code of its own.

Whatever transformers raises on files from elsewhere becomes an error that names the file. It loads no weights.
"""

from typing import Any

from assistant.errors import ModelError
from assistant.models.checkpoint import CONFIG, Checkpoint
from assistant.models.hub import first_line
from assistant.models.memory import FLOATS, QUANTIZATIONS, Quantization

WRITERS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""What the classes that write text are called."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
SENTENCEPIECE = "pip install sentencepiece"


def read_config(checkpoint: Checkpoint) -> Any:
    """The config of a model that writes text and needs no code of its own.

    Raises:
        ModelError: it is of another kind, or damaged.
    """
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = str(checkpoint.config.get("model_type"))
    if kind not in CONFIG_MAPPING:
        own = checkpoint.config.get("auto_map")
        why = "it brings code of its own, which is never run" if own else "the installed transformers doesn't know it"
        raise ModelError(
            f"{checkpoint.name!r} is of the kind {kind!r}: {why}",
            hint="name another model with --model, or serve this one elsewhere and give --server URL",
        )
    named = checkpoint.config.get("architectures") or []
    built = [named] if isinstance(named, str) else [str(name) for name in named]
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or (built and not any(name.endswith(WRITERS) for name in built)):
        raise ModelError(
            f"{checkpoint.name!r} writes no text: it is a {', '.join(built) or kind}",
            hint="name a causal language model with --model, e.g. meta-llama/Llama-3.2-1B-Instruct",
        )
    try:
        return AutoConfig.from_pretrained(checkpoint.folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise ModelError(
            f"{str(checkpoint.folder / CONFIG)!r} can't be read as a config: {first_line(error)}", hint=checkpoint.mend(CONFIG)
        ) from error


def read_tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer, without running code that comes with it.

    Raises:
        ModelError: it is missing, damaged, or needs a package or code of its own.
    """
    from transformers import AutoTokenizer

    if not any((checkpoint.folder / name).is_file() for name in TOKENIZERS):
        raise ModelError(f"{checkpoint.name!r} has no tokenizer ({' or '.join(TOKENIZERS)})", hint=checkpoint.mend(TOKENIZERS[0]))
    try:
        return AutoTokenizer.from_pretrained(checkpoint.folder, trust_remote_code=False, local_files_only=True)
    except ImportError as error:
        raise ModelError(
            f"the tokenizer of {checkpoint.name!r} needs a package: {first_line(error)}", hint=SENTENCEPIECE
        ) from error
    except Exception as error:
        only_model = not (checkpoint.folder / TOKENIZERS[0]).is_file()
        raise ModelError(
            f"the tokenizer of {checkpoint.name!r} can't be read: {first_line(error)}",
            hint=SENTENCEPIECE if only_model else checkpoint.mend(TOKENIZERS[0]),
        ) from error


def stored_quantization(checkpoint: Checkpoint) -> Quantization | None:
    """The form that weights were saved in, when bitsandbytes saved them; None: in full.

    Raises:
        ModelError: another tool or method quantised them.
    """
    stored = checkpoint.config.get("quantization_config")
    if not isinstance(stored, dict):
        return None
    method = str(stored.get("quant_method", "bitsandbytes"))
    if method == "bitsandbytes" and all(tensor.dtype in FLOATS for tensor in checkpoint.tensors):
        raise ModelError(
            f"config.json of {checkpoint.name!r} says that its weights are quantised, and they are not",
            hint=f"take quantization_config out of {str(checkpoint.folder / CONFIG)!r}",
        )
    if method == "bitsandbytes" and stored.get("load_in_8bit"):
        return "int8"
    if method == "bitsandbytes" and stored.get("bnb_4bit_quant_type") == "nf4":
        return "nf4"
    raise ModelError(
        f"the weights of {checkpoint.name!r} are quantised by {method!r}, which isn't read here",
        hint=f"name the unquantised model with --model, and --quantization {QUANTIZATIONS[-1]}",
    )
