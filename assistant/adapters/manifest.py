"""What an adapter folder says of itself: ``assistant_adapter.json`` beside what PEFT writes (DESIGN §4).

`finetune` writes it, the assistant reads it before it lets an adapter near a model: PEFT would load one onto the wrong base
without a word. Nothing here loads torch; the weights are read as bytes.
"""

import hashlib
import math
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from assistant.adapters import strict_json
from assistant.errors import ModelError

FILE = "assistant_adapter.json"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
HEAD = "head.safetensors"
FORMAT = 1
"""Version of this file. A newer one is refused: what it says may matter."""
BLOCK = 1 << 20
LONGEST_CANARY = 4096
"""Tokens: a first load shall take no longer than a question."""

Role = Literal["answer", "reward", "rewrite", "judge"]
SwapProfile = Literal["standard", "slow"]


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """The base model that an adapter belongs to.

    Attributes:
        id: as it was named when the adapter was trained.
        architecture: the model's class.
        fingerprint: hash of its weights (``assistant.models.fingerprint``).
        hidden_size, layers, vocab_size: its measures, so that a mismatch can be told in words.
    """

    id: str
    architecture: str
    fingerprint: str
    hidden_size: int
    layers: int
    vocab_size: int


@dataclass(frozen=True, slots=True)
class Canary:
    """A prompt and the model's highest logits after it, with what computed them: at first load they are computed again.

    Attributes:
        ids: the prompt.
        top: token ids with their logits, highest first; of a reward model, output numbers with their values.
        device, dtype, quantization, versions: under the same ones the logits agree within 1e-3, or the adapter is another.
    """

    ids: tuple[int, ...]
    top: tuple[tuple[int, float], ...]
    device: str
    dtype: str
    quantization: str
    versions: Mapping[str, str]

    def check_tokens(self, vocabulary: int) -> None:
        """See that a model of so many tokens can read the prompt, and computes these logits.

        Raises:
            ValueError: one of them isn't a token of it.
        """
        for name, tokens in (("ids", self.ids), ("top", [token for token, _ in self.top])):
            if (most := max(tokens)) >= vocabulary:
                raise ValueError(f"canary.{name} names the token {most:,}, of {vocabulary:,}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of an adapter.

    Attributes:
        name: of the adapter, its folder's unless somebody said otherwise.
        method: how it was trained.
        role: what it is for.
        created: ISO-8601, UTC.
        base: the model it belongs to.
        tokenizer_hash, template_hash: of what it was trained with.
        prompt_format: name of the prompt's wording; None: its rows held no passages.
        prompt_hash: of its exact wording then: a changed wording of a known format is worth a warning.
        trained_on: quantization, dtype, device.
        data: hash of the rows, how many, ids of the documents they came from.
        parents: weights hashes of the adapters it began with.
        seed: of the training.
        versions: of the packages that trained it.
        swap_profile: ``standard`` adapters of one base can take each other's place in milliseconds.
        weights_hash: of its weights, and of its head.
        settings_hash: of the settings beside them that shape what it computes (``config.settings_hash``); None: not written down.
        classes: of a classifier, in the order of its outputs.
        reward: mean and standard deviation of its scores on held-out rows; None for what writes.
        metrics: before and after, on held-out rows.
        generation: how it writes unless told otherwise.
        canary: what it computed when it was saved.
    """

    name: str
    method: str
    role: Role
    created: str
    base: BaseFacts
    tokenizer_hash: str
    template_hash: str
    prompt_format: str | None
    trained_on: Mapping[str, str]
    data: Mapping[str, Any]
    seed: int
    versions: Mapping[str, str]
    swap_profile: SwapProfile
    weights_hash: str
    canary: Canary
    prompt_hash: str | None = None
    parents: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    reward: Mapping[str, float] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    settings_hash: str | None = None

    def write(self, folder: Path) -> Path:
        """Write it into an adapter's folder, whole or not at all."""
        path = folder / FILE
        strict_json.write(path, {"format": FORMAT, **asdict(self)})
        return path


def read_manifest(folder: Path) -> Manifest:
    """Read what an adapter says of itself.

    Raises:
        ModelError: there is none, or it is damaged, or of a newer version.
    """
    path = folder / FILE
    again = f"train it again with finetune, or take a whole copy of {str(folder)!r}"
    try:
        said = strict_json.load(path)
    except FileNotFoundError:
        what = f"{str(folder)!r} holds no {FILE}" if folder.is_dir() else f"there is no folder {str(folder)!r}"
        raise ModelError(f"{what}: it is no adapter of this assistant's", hint="finetune sft --help makes one") from None
    except OSError as error:
        raise ModelError(f"can't read {str(path)!r}: {error.strerror}", hint=again) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{str(path)!r} is damaged: {error}", hint=again) from error
    if not isinstance(said, dict) or not isinstance(version := said.get("format"), int):
        raise ModelError(f"{str(path)!r} is no adapter's manifest", hint=again)
    if version > FORMAT:
        raise ModelError(
            f"{str(path)!r} has format {version}, and this assistant knows formats up to {FORMAT}", hint="upgrade the assistant"
        )
    try:
        return _parsed(said)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{str(path)!r} is damaged: {_what_is_wrong(said, error)}", hint=again) from error


def _parsed(said: Mapping[str, Any]) -> Manifest:
    known = {one.name for one in fields(Manifest)}
    values = {name: value for name, value in said.items() if name in known}
    for name in ("base", "canary"):
        _expect(isinstance(values[name], dict), name, values[name])
    values["base"] = _base(values["base"])
    values["canary"] = _canary(values["canary"])
    for name in ("parents", "classes"):
        _expect(isinstance(values.get(name, []), list) and all(map(_is_text, values.get(name, []))), name, values.get(name))
        values[name] = tuple(values.get(name, ()))
    _check_kinds(values)
    if values["role"] not in get_args(Role) or values["swap_profile"] not in get_args(SwapProfile):
        raise ValueError(f"role {values['role']!r}, swap profile {values['swap_profile']!r}")
    manifest = Manifest(**values)
    if manifest.role != "reward":  # what scores may read tokens that its base lacks, and names outputs
        manifest.canary.check_tokens(manifest.base.vocab_size)
    return manifest


def _base(said: Mapping[str, Any]) -> BaseFacts:
    for one in fields(BaseFacts):
        _expect(type(said[one.name]) is one.type, f"{one.name} of the base", said[one.name])
    return BaseFacts(**{one.name: said[one.name] for one in fields(BaseFacts)})


def _canary(said: Mapping[str, Any]) -> Canary:
    values = {one.name: said[one.name] for one in fields(Canary)}
    for name, fits in (("ids", _is_place), ("top", _is_figure)):
        listed = values[name]
        _expect(
            isinstance(listed, list) and 0 < len(listed) <= LONGEST_CANARY and all(map(fits, listed)), f"canary.{name}", listed
        )
    for name in ("device", "dtype", "quantization"):
        _expect(_is_text(values[name]), f"canary.{name}", values[name])
    _expect(_holds_texts(values["versions"]), "canary.versions", values["versions"])
    return Canary(**values | {"ids": tuple(values["ids"]), "top": tuple((token, float(logit)) for token, logit in values["top"])})


def _check_kinds(values: Mapping[str, Any]) -> None:
    """See that what is read as a text or as an object is one: a manifest may come from anywhere."""
    for name in _TEXTS:
        _expect(_is_text(values.get(name, "")), name, values.get(name))
    for name in ("prompt_format", "prompt_hash", "settings_hash"):
        _expect(values.get(name) is None or _is_text(values[name]), name, values.get(name))
    for name in _OBJECTS:
        _expect(isinstance(values.get(name, {}), dict), name, values.get(name))
    for name in ("trained_on", "versions"):
        _expect(_holds_texts(values.get(name, {})), name, values.get(name))
    _expect(type(values.get("seed", 0)) is int, "seed", values.get("seed"))
    if (scale := values.get("reward")) is not None:
        _expect(isinstance(scale, dict) and _is_number(scale.get("mean")), "reward", scale)
        _expect(_is_number(scale.get("std")) and scale["std"] > 0, "reward", scale)


_TEXTS = ("name", "method", "created", "tokenizer_hash", "template_hash", "weights_hash")
_OBJECTS = ("data", "metrics", "generation")


def _expect(fits: bool, name: str, value: object) -> None:
    if not fits:
        raise ValueError(f"{name} is {reprlib.repr(value)}")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _holds_texts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_place(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_figure(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_place(value[0]) and _is_number(value[1])


def _what_is_wrong(said: Mapping[str, Any], error: Exception) -> str:
    needed = [one.name for one in fields(Manifest) if one.default is MISSING and one.default_factory is MISSING]
    missing = [name for name in needed if name not in said]
    if missing or isinstance(error, KeyError):
        return f"{missing[0] if missing else error.args[0]} is missing"
    return str(error)


def weights_hash(folder: Path) -> str:
    """Hash an adapter's weights, and its head where it has one: all of their bytes.

    Raises:
        ModelError: it has no weights.
    """
    digest = hashlib.sha256()
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        raise ModelError(
            f"{str(folder)!r} holds no {WEIGHTS}"
            + (", only adapter_model.bin, which is never opened (it can run code)" if pickled else ""),
            hint="save the adapter again with a current peft, which writes safetensors"
            if pickled
            else "take a whole copy of the folder",
        )
    for name in (WEIGHTS, HEAD):
        if (folder / name).is_file():
            digest.update(name.encode())
            with (folder / name).open("rb") as stream:
                while block := stream.read(BLOCK):
                    digest.update(block)
    return digest.hexdigest()


def swap_profile(config: Mapping[str, Any], usual_targets: frozenset[str]) -> SwapProfile:
    """Whether an adapter can take another's place in milliseconds, by its ``adapter_config.json``.

    Args:
        config: what PEFT wrote.
        usual_targets: the layers that adapters of this base's family change.
    """
    odd = (
        "rank_pattern",
        "alpha_pattern",
        "modules_to_save",
        "trainable_token_indices",
        "use_dora",
        "use_rslora",
        "lora_dropout",
        "layers_to_transform",
        "layer_replication",
    )
    targets = config.get("target_modules")
    plain = (
        config.get("peft_type") == "LORA" and not any(config.get(name) for name in odd) and config.get("bias", "none") == "none"
    )
    return "standard" if plain and isinstance(targets, list) and set(targets) == usual_targets else "slow"
