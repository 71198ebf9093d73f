"""A model's name → the model itself, its tokenizer and everything about it that writing with it needs.

Everything that can be known from the files is checked before anything heavy is loaded: whether the weights are whole and are
safetensors, whether the model needs code of its own (never run), whether it fits. It generates nothing.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.checkpoint import CONFIG, Checkpoint
from assistant.models.families import Family, attention, context_length
from assistant.models.fingerprint import base_fingerprint, template_hash, tokenizer_hash
from assistant.models.hardware import DeviceName, DtypeName, Hardware, choose_hardware, give_back_freed, memory_available
from assistant.models.hub import Announce, find_model, first_line
from assistant.models.memory import QUANTIZATIONS, Need, Plan, Quantization, check_fits, estimate, gigabytes
from assistant.models.pretrained import TOKENIZERS, read_config, read_tokenizer, stored_quantization
from assistant.models.quiet import quiet
from assistant.models.rendering import own_template, pad_id, recognise, stop_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROOM = 8192
"""Tokens of context to make room for, where the model reads more: its whole context may take more memory than its weights."""
EVERY_S = 1.0
"""Seconds between two lines of progress."""


@dataclass(frozen=True)
class Loaded:
    """A model ready to write.

    Attributes:
        name: as the user gave it.
        model, tokenizer: transformers' own, in evaluation mode, without gradients.
        family: what its kind needs.
        context: tokens, prompt and answer together, that it may be given.
        stop_ids: ids that end an answer.
        pad_id: id to pad with.
        hardware: where it runs, in which number format, and why.
        quantization: the form its weights are kept in.
        need: what it was reckoned to take.
        load_s: seconds that loading took.
        notices: what the user should know.
        models: the folder that remembers fingerprints.
    """

    name: str
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    family: Family
    context: int
    stop_ids: tuple[int, ...]
    pad_id: int
    hardware: Hardware
    quantization: Quantization
    checkpoint: Checkpoint
    need: Need
    load_s: float
    notices: tuple[str, ...] = ()
    models: Path | None = field(default=None, repr=False)

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.hardware.dtype

    @cached_property
    def fingerprint(self) -> str:
        """The hash of its weights (DESIGN §4)."""
        return base_fingerprint(self.checkpoint, self.models)

    @cached_property
    def tokenizer_hash(self) -> str:
        """The hash of its tokenizer's files."""
        return tokenizer_hash(self.checkpoint.folder, self.models)

    @cached_property
    def template_hash(self) -> str:
        """The hash of the chat template that it is prompted by."""
        return template_hash(self.checkpoint.folder, name=self.name)

    @property
    def label(self) -> str:
        """E.g. ``meta-llama/Llama-3.1-8B-Instruct (nf4, cuda, bf16: … computes bf16 itself)``."""
        form = "" if self.quantization == "none" else f"{self.quantization}, "
        return f"{self.name} ({form}{self.hardware.label})"


@dataclass(frozen=True, slots=True)
class Request:
    """How a model is to be loaded.

    Attributes:
        quantization: the form to keep its linear layers in.
        device: ``auto`` takes the fastest there is.
        dtype: ``auto`` takes what a trial says is fast there.
        context: tokens to make room for; None: the model's whole context, `ROOM` at most.
        models: ``$ASSISTANT_HOME/models``, where fingerprints are remembered; None: nowhere.
    """

    quantization: Quantization = "none"
    device: DeviceName = "auto"
    dtype: DtypeName = "auto"
    context: int | None = None
    models: Path | None = None


def load(model: str, request: Request | None = None, *, announce: Announce = lambda _: None) -> Loaded:
    """Load a model for answering.

    Args:
        model: a folder, or a Hugging Face id.
        request: how; None: in full precision, on the fastest device.
        announce: told what goes on, in lines for a person, about one a second.

    Raises:
        ModelError: the model can't be found, read, trusted or fitted in: with the command or setting that helps.
    """
    request = request or Request()
    return load_draft(make_draft(model, request, announce=announce), request, announce=announce)


def make_draft(model: str, request: Request, *, announce: Announce = lambda _: None) -> "Draft":
    """Find out all about a model that can be known without its weights.

    Raises:
        ModelError: as for ``load``.
    """
    with quiet():
        checkpoint = find_model(model, announce=announce)
        checkpoint.check()
        return _draft(checkpoint, request)


def load_draft(draft: "Draft", request: Request, *, announce: Announce = lambda _: None) -> Loaded:
    """Load the weights of a model.

    Raises:
        ModelError: as for ``load``.
    """
    checkpoint = draft.checkpoint
    announce(f"loading {checkpoint.name}: {gigabytes(checkpoint.size)}, {draft.hardware.label}")
    started = time.monotonic()
    with quiet(lambda weights: _counted(weights, checkpoint, announce)):
        loaded, strays = _read_weights(draft)
        notices = _notices(draft, request, strays)
        return _ready(draft, loaded, notices, models=request.models, load_s=time.monotonic() - started)


def identify(known: "Draft | Loaded", models: Path | None, decoding: Decoding) -> dict[str, Any]:
    """Everything of a model that shapes what it writes, as JSON; the same before and after its weights are loaded.

    Args:
        known: the model.
        models: the folder that remembers fingerprints.
        decoding: how it chooses its tokens.
    """
    folder, name = known.checkpoint.folder, known.checkpoint.name
    return {
        "kind": "local",
        "weights": base_fingerprint(known.checkpoint, models),
        "tokenizer": tokenizer_hash(folder, models),
        "template": template_hash(folder, name=name),
        "quantization": known.quantization,
        "dtype": str(known.hardware.dtype),
        "context": known.context,
        "adapter": None,
        "decoding": [decoding.max_tokens, decoding.temperature, decoding.top_p, decoding.seed],
    }


@dataclass(frozen=True, slots=True)
class Draft:
    """A model as far as it is known before its weights are loaded."""

    checkpoint: Checkpoint
    config: Any
    tokenizer: Any
    family: Family
    context: int
    hardware: Hardware
    quantization: Quantization
    need: Need


def _draft(checkpoint: Checkpoint, request: Request) -> Draft:
    config = read_config(checkpoint)
    tokenizer = read_tokenizer(checkpoint)
    family = recognise(config, tokenizer, name=checkpoint.name)
    quantization = stored_quantization(checkpoint) or request.quantization
    context = min(context_length(config, tokenizer), request.context or ROOM)
    hardware = choose_hardware(request.device, request.dtype, float16=family.float16)
    plan = Plan(checkpoint.tensors, checkpoint.config, context, hardware.dtype.itemsize, hardware.device, quantization)
    hardware, need = _fitted(checkpoint.name, plan, hardware)
    return Draft(checkpoint, config, tokenizer, family, context, hardware, quantization, need)


def _fitted(name: str, plan: Plan, hardware: Hardware) -> tuple[Hardware, Need]:
    """Where the model fits in: on a CPU that is fast in fp32 alone, in bf16 if that is the only way."""
    available = memory_available(hardware.device)
    try:
        return hardware, check_fits(name, plan, available)
    except ModelError:
        half = replace(plan, element=2)
        if hardware.device != "cpu" or plan.element == 2 or plan.quantization != "none":
            raise
        with suppress(ModelError):
            need = check_fits(name, half, available)
            reason = f"{hardware.reason}, but fp32 would take {gigabytes(estimate(plan).total)}"
            return Hardware("cpu", torch.bfloat16, reason), need
        raise


def _read_weights(draft: Draft) -> tuple[Any, list[str]]:
    """The model with its weights, every one of them from the files; and names in the files that it has no place for."""
    from transformers import AutoModelForCausalLM

    checkpoint = draft.checkpoint
    auto: Any = AutoModelForCausalLM  # typed as if it never told what it loaded
    try:
        model, info = auto.from_pretrained(
            checkpoint.folder,
            config=draft.config,
            dtype=draft.hardware.dtype,
            device_map={"": draft.hardware.device},
            attn_implementation=attention(draft.config),
            quantization_config=_bitsandbytes(draft),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except ImportError as error:
        raise ModelError(f"a package is missing: {first_line(error)}", hint="pip install accelerate bitsandbytes") from error
    except Exception as error:  # config and weights are from elsewhere, and may fit each other or not
        raise _why_not_loaded(draft, error) from error
    missing = sorted(info["missing_keys"])
    if missing:  # transformers would go on with random numbers in their place
        raise ModelError(
            f"the weights of {checkpoint.name!r} lack {missing[0]!r}{f' and {len(missing) - 1} more' if missing[1:] else ''}",
            hint=checkpoint.mend(*(file.name for file in checkpoint.files)),
        )
    _keep_odd_widths_right(model)
    give_back_freed()
    return model.requires_grad_(False), sorted(info["unexpected_keys"])


def _keep_odd_widths_right(model: Any) -> None:
    """Keep bitsandbytes from packing 4-bit layers whose sides don't fit its AVX512 blocks: it would fail on the first word."""
    for layer in model.modules():
        if getattr(layer, "support_avx512bf16_for_cpu", False) and (layer.in_features % 64 or layer.out_features % 32):
            layer.support_avx512bf16_for_cpu = False


def _bitsandbytes(draft: Draft) -> Any:
    from transformers import BitsAndBytesConfig

    options: Any = BitsAndBytesConfig  # untyped
    if draft.quantization == "none" or stored_quantization(draft.checkpoint):
        return None
    if draft.quantization == "int8":
        return options(load_in_8bit=True)
    return options(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=draft.hardware.dtype)


def _why_not_loaded(draft: Draft, error: Exception) -> ModelError:
    name = draft.checkpoint.name
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "memory" in str(error):
        further = [way for way in QUANTIZATIONS if QUANTIZATIONS.index(way) > QUANTIZATIONS.index(draft.quantization)]
        lower = f"--quantization {further[-1]}" if further else "a smaller model with --model"
        return ModelError(
            f"out of memory on {draft.hardware.device} while loading {name!r}, reckoned to take {gigabytes(draft.need.total)}",
            hint=f"use {lower}, or free some memory",
        )
    return ModelError(
        f"transformers can't load {name!r}: {type(error).__name__}: {first_line(error)}",
        hint=draft.checkpoint.mend(CONFIG, *(file.name for file in draft.checkpoint.files)),
    )


def _ready(draft: Draft, model: Any, notices: Iterable[str], *, models: Path | None, load_s: float) -> Loaded:
    """Put together what writing needs to know of a loaded model."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    if draft.tokenizer.vocab_size > rows:
        raise ModelError(
            f"the tokenizer of {draft.checkpoint.name!r} has {draft.tokenizer.vocab_size:,} tokens, the model {rows:,}",
            hint=draft.checkpoint.mend(*TOKENIZERS[:1]),
        )
    stops = stop_ids(draft.tokenizer, draft.family, model.generation_config, rows=rows)
    padding = pad_id(draft.tokenizer, draft.family, stops, rows=rows)
    if draft.tokenizer.pad_token_id != padding:
        draft.tokenizer.pad_token = draft.tokenizer.convert_ids_to_tokens(padding)
    model.generation_config.pad_token_id = padding
    return Loaded(
        name=draft.checkpoint.name,
        model=model,
        tokenizer=draft.tokenizer,
        family=draft.family,
        context=draft.context,
        stop_ids=stops,
        pad_id=padding,
        hardware=draft.hardware,
        quantization=draft.quantization,
        checkpoint=draft.checkpoint,
        need=draft.need,
        load_s=load_s,
        notices=tuple(notices),
        models=models,
    )


def _notices(draft: Draft, request: Request, strays: list[str]) -> Iterator[str]:
    name = draft.checkpoint.name
    if strays:
        yield f"{len(strays)} tensors of {name} have no place in the model that its config.json describes, e.g. {strays[0]}"
    if own_template(draft.tokenizer) is None:
        yield f"{name} has no chat template: it is prompted as {draft.family.title}"
    if draft.quantization != request.quantization:
        yield f"the weights of {name} were saved as {draft.quantization}, and are used so"
    if draft.quantization == "nf4" and draft.hardware.device == "cpu" and not fast_nf4():
        yield "nf4 saves memory and costs time on this CPU: it has no avx512_bf16"


def fast_nf4() -> bool:
    """Whether bitsandbytes computes in 4 bits on this CPU, rather than unpack the weights for every product."""
    from bitsandbytes import functional

    untyped: Any = functional
    return bool(untyped.has_avx512bf16())


def _counted(weights: Iterable[Any], checkpoint: Checkpoint, announce: Announce) -> Iterator[Any]:
    """Go through the weights as transformers loads them, and say now and then how far it is."""
    sizes = {tensor.name: tensor.end - tensor.start for tensor in checkpoint.tensors}
    total, done, said = sum(sizes.values()), 0, time.monotonic()
    for name, mapping in weights:
        yield name, mapping
        done += sizes.get(name, 0)
        if time.monotonic() - said >= EVERY_S:
            said = time.monotonic()
            announce(f"loading {checkpoint.name}: {gigabytes(done)} of {gigabytes(total)}")
