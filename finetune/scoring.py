"""Models that score a text instead of writing one: any base, causal or an encoder, with a new head on it.

The head begins with small random weights, drawn from the seed. A base whose only special token ends texts gets a token to pad
with: a score is read at the last token that isn't padding, and it should be the end of the text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from assistant.errors import ModelError
from assistant.models.checkpoint import Checkpoint
from assistant.models.families import attention, choose_family, context_length
from assistant.models.hardware import Hardware, choose_hardware
from assistant.models.hub import find_model, first_line
from assistant.models.loading import Loaded
from assistant.models.memory import Need
from assistant.models.pretrained import read_tokenizer
from assistant.models.quiet import quiet
from assistant.models.rendering import own_template, pad_id, recognise, special_tokens
from assistant.records import Message
from finetune.base_model import Base, choose_targets, keep_unpacked
from finetune.config import TrainingConfig
from finetune.formatting import Encoded, Formatter
from indexes.embedding import model_folder
from indexes.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAD = "<|pad|>"
HEADS = ("score", "classifier", "pre_classifier", "pooler")


class EncoderFormatter(Formatter):
    """Renders rows for an encoder: the prompt's text, a separator, the answer's text."""

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        said = "\n".join(message.content for message in messages)
        return self._ids(said, first=True) if said.strip() else self._ids("", first=True)[:1]

    def answer(self, text: str) -> list[int]:
        return [*self._ids(text), self.stop_id]

    def text(self, text: str) -> Encoded:
        ids = self._ids(text, first=True)
        return Encoded(ids, ids)

    def pad_id(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)

    def _ids(self, text: str, *, first: bool = False) -> list[int]:
        return [int(each) for each in self.tokenizer(text, add_special_tokens=first)["input_ids"]]


@dataclass(frozen=True)
class Scorer:
    """What a scoring model is loaded as.

    Attributes:
        checkpoint: its base.
        tokenizer: the base's, with added tokens.
        outputs: of the head: 1 for a reward, else one a class.
        classes: their names, in the order of the outputs.
    """

    checkpoint: Checkpoint
    tokenizer: "PreTrainedTokenizerBase"
    outputs: int = 1
    classes: tuple[str, ...] = ()


def open_scoring_base(config: TrainingConfig, classes: Sequence[str], *, announce: Callable[[str], None]) -> Base:
    """Load a base with a new head.

    Args:
        config: the training's.
        classes: names of the classes; none: a reward.
        announce: told what goes on.

    Raises:
        ModelError: it can't be found, read or scored with.
        UsageError: rows longer than it reads are asked for.
    """
    checkpoint = find_scoring_model(config.base)
    tokenizer = read_tokenizer(checkpoint)
    added = add_tokens(tokenizer, config.add_tokens)
    dtype = "fp32" if config.dtype == "auto" and not torch.cuda.is_available() else config.dtype
    hardware = choose_hardware(config.device, dtype)  # type: ignore[arg-type]
    announce(f"loading {checkpoint.name} with a new head: {hardware.label}")
    scorer = Scorer(checkpoint, tokenizer, max(1, len(classes)), tuple(classes))
    with quiet():
        torch.manual_seed(config.seed)
        model = load_scoring_model(scorer, hardware, config.quantization)
    formatter = scoring_formatter(model, tokenizer, name=config.base)
    limit = context_length(model.config, tokenizer)
    if config.max_length > limit:
        raise UsageError(
            f"max_length is {config.max_length!r}, and {config.base!r} reads {limit:,} tokens", hint=f"--max-length {limit}"
        )
    targets = choose_targets(model, config.targets)
    loaded = Loaded(
        name=config.base, model=model, tokenizer=tokenizer, family=formatter.family, context=limit, stop_ids=(formatter.stop_id,),
        pad_id=formatter.pad_id(), hardware=hardware, quantization=config.quantization, checkpoint=checkpoint,
        need=Need(0, 0, 0), load_s=0.0,
    )  # fmt: skip
    return Base(loaded, formatter, targets, added, tuple(classes))


def find_scoring_model(base: str) -> Checkpoint:
    """A model's files: the installed embedding model by its name, or any other by folder or id."""
    with_name = model_folder(base) if not Path(base).exists() else None
    checkpoint = Checkpoint(base, Path(with_name)) if with_name else find_model(base)
    checkpoint.check()
    return checkpoint


def add_tokens(tokenizer: "PreTrainedTokenizerBase", wanted: Sequence[str]) -> tuple[int, ...]:
    """Add special tokens to a tokenizer, and one to pad with where it has only the one that ends texts.

    Returns:
        The ids of the wanted ones: their embeddings must be trained. That of the padding is never read.
    """
    if wanted:
        tokenizer.add_special_tokens({"additional_special_tokens": list(wanted)})
    family = choose_family("", special_tokens(tokenizer), own_template(tokenizer))
    padding = pad_id(tokenizer, family, [-1 if tokenizer.eos_token_id is None else tokenizer.eos_token_id])
    if padding == tokenizer.eos_token_id:
        tokenizer.add_special_tokens({"pad_token": PAD})
    else:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(padding)
    ids: Any = tokenizer.convert_tokens_to_ids(list(wanted))
    return tuple(int(each) for each in ids)


def load_scoring_model(scorer: Scorer, hardware: Hardware, quantization: str) -> Any:
    """The base with a head of ``scorer.outputs`` outputs, and embeddings for all of the tokenizer's tokens."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, BitsAndBytesConfig

    options: Any = BitsAndBytesConfig  # untyped
    quantized = {
        "none": None,
        "int8": options(load_in_8bit=True, llm_int8_skip_modules=[*HEADS]),
        "nf4": options(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=hardware.dtype, llm_int8_skip_modules=[*HEADS]
        ),
    }[quantization]
    try:
        config = AutoConfig.from_pretrained(scorer.checkpoint.folder, trust_remote_code=False, local_files_only=True)
        config.num_labels = scorer.outputs
        if scorer.classes:
            config.id2label = dict(enumerate(scorer.classes))
            config.label2id = {name: at for at, name in config.id2label.items()}
        auto: Any = AutoModelForSequenceClassification
        model = auto.from_pretrained(
            scorer.checkpoint.folder, config=config, dtype=hardware.dtype, device_map={"": hardware.device},
            quantization_config=quantized, attn_implementation=attention(config), use_safetensors=True,
            trust_remote_code=False, local_files_only=True,
        )  # fmt: skip
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise ModelError(
            f"transformers can't put a scoring head on {scorer.checkpoint.name!r}: {first_line(error)}",
            hint="name a base of a kind that it can: Llama, Gemma 2, GPT-2, BERT, …",
        ) from error
    keep_unpacked(model)
    _grow(model, len(scorer.tokenizer))
    model.config.pad_token_id = scorer.tokenizer.pad_token_id  # where the score is read: at the last token that isn't this
    for head in (getattr(model, name, None) for name in HEADS):
        if isinstance(head, torch.nn.Module):
            head.register_forward_pre_hook(_in_its_precision)  # copies of the head, such as PEFT trains, have it too
    return model.requires_grad_(False)


def _in_its_precision(head: torch.nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Hidden states as a head's weights are: PEFT trains it in float32, also on a base of half the precision."""
    return (given[0].to(next(head.parameters()).dtype), *given[1:])


def _grow(model: Any, size: int) -> None:
    """Give a model rows for added tokens, each the mean of the others: nothing about them is known, and nothing is drawn."""
    before = model.get_input_embeddings().weight.shape[0]
    if size <= before:
        return
    model.resize_token_embeddings(size, mean_resizing=False)
    weight = model.get_input_embeddings().weight
    with torch.no_grad():
        weight[before:] = weight[:before].mean(0)


def scoring_formatter(model: Any, tokenizer: "PreTrainedTokenizerBase", *, name: str) -> Formatter:
    """Renders rows for a scoring model."""
    family = recognise(model.config, tokenizer, name=name)
    if tokenizer.sep_token_id is not None and tokenizer.cls_token_id is not None:
        return EncoderFormatter(tokenizer, family, int(tokenizer.sep_token_id))
    return Formatter.of(tokenizer, family)
