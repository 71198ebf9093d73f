"""Whether an adapter may be used with a base, from files alone, well under a second: identity is decided by hashes.

PEFT checks none of this. Whether the numbers mean what they meant in training is the canary's to say, at the first load.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.adapters.config import check_config, settings_hash, slow_because
from assistant.adapters.folder import files_of, read_config, read_gate
from assistant.adapters.identity import BaseIdentity, base_identity, described, identify_base
from assistant.adapters.layout import check_layout, embeds
from assistant.adapters.manifest import CONFIG, FILE, HEAD, WEIGHTS, Manifest, Role, read_manifest, weights_hash
from assistant.errors import ModelError
from assistant.models.checkpoint import read_header
from assistant.models.fingerprint import remembered
from assistant.prompt import PROMPT_FORMAT, prompt_hash

__all__ = ["BaseIdentity", "Preflight", "base_identity", "check_adapter", "identify_base"]

FAILED, UNDECIDED, UNGATED = "failed", "undecided", "ungated"
FORMS = {"none": "full precision"}
TRAIN = "train it again on this base: finetune --help"


@dataclass(frozen=True, slots=True)
class Preflight:
    """An adapter that nothing in its files speaks against.

    Attributes:
        name: what it is called in messages.
        folder: where its files lie.
        manifest: what it says of itself; None: PEFT's files alone, and its base is taken on trust.
        config: ``adapter_config.json``.
        fingerprint: the hash of its weights.
        slow_because: why only PEFT computes it exactly; None: it swaps in milliseconds.
        warnings: what a user should know.
        gate: what the gate said of these weights and settings; None: it wasn't asked.
    """

    name: str
    folder: Path
    manifest: Manifest | None
    config: Mapping[str, Any]
    fingerprint: str
    slow_because: str | None
    warnings: tuple[str, ...]
    gate: Mapping[str, Any] | None

    @property
    def slow(self) -> bool:
        """Whether it is left to PEFT."""
        return self.slow_because is not None

    @property
    def role(self) -> Role:
        """What it is for."""
        return self.manifest.role if self.manifest else "answer"

    @property
    def verdict(self) -> str:
        """The gate's: ``passed``, ``failed``, ``undecided``, or ``ungated``."""
        return str(self.gate["verdict"]) if self.gate else UNGATED

    @property
    def labels(self) -> tuple[str, ...]:
        """What it is marked with wherever it is shown."""
        trusted = ("trusted base",) if self.manifest is None else ()
        gate = {FAILED: ("gate failed",), UNDECIDED: ("gate undecided",), UNGATED: (UNGATED,)}.get(self.verdict, ())
        return trusted + (gate if self.role != "reward" else ())

    @property
    def computes(self) -> str:
        """A hash of all that shapes what it computes; begins with ``fingerprint``: the weights, then the settings beside them."""
        return f"{self.fingerprint}-{settings_hash(self.config)}"


def check_adapter(
    folder: Path, base: BaseIdentity | None, *, models: Path | None, trust_base: bool = False, name: str | None = None
) -> Preflight:
    """Check all that an adapter's files can tell.

    Args:
        folder: the adapter's.
        base: the model that it is to be used with; None: whichever it belongs to.
        models: the folder that remembers hashes, ``$ASSISTANT_HOME/models``; None: nowhere.
        trust_base: take a folder without our manifest too, and its word for the base that it belongs to.
        name: what to call it; None: as its folder.

    Raises:
        ModelError: it can't be used, with the exact reason.
    """
    called = name or folder.resolve().name
    files = files_of(folder)
    config = read_config(folder)
    manifest = _manifest(folder, called, trust_base=trust_base, there=FILE in files)
    if manifest and base:
        _check_base(manifest, base, called)
    if manifest:
        _check_prompt(manifest, called)
    check_config(config, called)
    if manifest:
        _check_settings(manifest, config, called)
        _check_canary(manifest, config, base, folder)
    slow = _check_weights(files, folder, config, called, base)
    weights = [files[each] for each in (WEIGHTS, HEAD) if each in files]
    fingerprint = remembered(weights, models, lambda: weights_hash(folder))
    if manifest and fingerprint != manifest.weights_hash:
        raise ModelError(
            f"the weights of the adapter {called!r} were changed: their hash is {fingerprint[:12]}…, "
            f"and its manifest says {manifest.weights_hash[:12]}…",
            hint="take a whole copy of the folder, or train it again",
        )
    warnings = tuple(_warnings(manifest, config, base))
    gate = read_gate(folder, fingerprint, settings_hash(config))
    return Preflight(called, folder, manifest, config, fingerprint, slow, warnings, gate)


def _manifest(folder: Path, name: str, *, trust_base: bool, there: bool) -> Manifest | None:
    if there:
        return read_manifest(folder)
    if trust_base:
        return None
    raise ModelError(
        f"the adapter {name!r} has no {FILE}: nothing says which base it belongs to",
        hint=f"if you know its base: assistant adapters add {folder} --trust-base",
    )


def _check_weights(
    files: Mapping[str, Path], folder: Path, config: Mapping[str, Any], name: str, base: BaseIdentity | None
) -> str | None:
    """Check the weights as far as their headers tell; returns why they are slow."""
    if WEIGHTS not in files:
        weights_hash(folder)  # says what is there instead
    again = f"take a whole copy of {str(folder)!r}, or train it again"
    tensors = read_header(files[WEIGHTS], hint=again)
    if HEAD in files:
        read_header(files[HEAD], hint=again)
    slow = slow_because(config) or ("it adapts embeddings" if embeds(tensors) else None)
    check_layout(tensors, config, name=name, slow=slow is not None, base=base)
    return slow


def _check_prompt(manifest: Manifest, name: str) -> None:
    if manifest.prompt_format not in (None, PROMPT_FORMAT):
        raise ModelError(
            f"the adapter {name!r} was trained on prompts of the format {manifest.prompt_format!r}, "
            f"and this assistant writes {PROMPT_FORMAT!r}",
            hint="upgrade the assistant, or train the adapter again with this one's finetune",
        )


def _check_settings(manifest: Manifest, config: Mapping[str, Any], name: str) -> None:
    now = settings_hash(config)
    if manifest.settings_hash not in (None, now):
        shown = ", ".join(f"{setting} {config[setting]}" for setting in ("lora_alpha", "r") if setting in config)
        raise ModelError(
            f"the settings of the adapter {name!r} were changed ({shown or config['peft_type']} …): {CONFIG} has the hash {now}, "
            f"and its manifest says {manifest.settings_hash}",
            hint="take a whole copy of the folder, or train it again",
        )


def _check_canary(manifest: Manifest, config: Mapping[str, Any], base: BaseIdentity | None, folder: Path) -> None:
    """See that the base can read the canary; only what scores may bring tokens of its own."""
    if manifest.role == "reward" and config.get("trainable_token_indices"):
        return
    vocabulary = base.vocab_size if base else manifest.base.vocab_size
    try:
        manifest.canary.check_tokens(vocabulary)
    except ValueError as error:
        raise ModelError(
            f"{str(folder / FILE)!r} is damaged: {error}", hint="take a whole copy of the folder, or train it again"
        ) from error


def _check_base(manifest: Manifest, base: BaseIdentity, name: str) -> None:
    trained = manifest.base
    if trained.fingerprint != base.fingerprint:
        raise ModelError(
            f"the adapter {name!r} was trained for {trained.id!r}, not for {base.name!r}: {_difference(manifest, base)}",
            hint=f"put the model that it was trained on back there, or {TRAIN}"
            if trained.id == base.name
            else f"--model {trained.id}, or --adapter none",
        )
    for what, then, now in (
        ("tokenizer", manifest.tokenizer_hash, base.tokenizer_hash),
        ("chat template", manifest.template_hash, base.template_hash),
    ):
        if then != now:
            raise ModelError(
                f"the adapter {name!r} was trained with another {what} than that of {base.name!r} "
                f"(hash {then[:12]}…, not {now[:12]}…)",
                hint=f"give the base the {what} that it had then, or {TRAIN}",
            )


def _difference(manifest: Manifest, base: BaseIdentity) -> str:
    then = described(manifest.base.architecture, manifest.base.layers, manifest.base.hidden_size)
    now = described(base.architecture, base.layers, base.hidden_size)
    if then != now:
        return f"that is a {then}, this is a {now}"
    if manifest.base.vocab_size != base.vocab_size:
        return f"that is a {then} of {manifest.base.vocab_size:,} tokens, this is one of {base.vocab_size:,}"
    return f"both are a {then}, with other weights"


def _warnings(manifest: Manifest | None, config: Mapping[str, Any], base: BaseIdentity | None) -> Iterator[str]:
    if manifest is None:
        said = config.get("base_model_name_or_path")
        if base and said and Path(str(said)).name != Path(base.name).name:
            yield f"{CONFIG} says that it belongs to {str(said)!r}, and it is used with {base.name!r}"
        return
    again = "" if manifest.role == "reward" else ": run the gate again"  # what scores has none to pass
    if manifest.prompt_format and manifest.prompt_hash not in (None, prompt_hash()):
        yield f"the wording of prompts has changed since it was trained{again}"
    then = manifest.trained_on.get("quantization", "none")
    if base and then != base.quantization:
        yield f"trained on {_form(then)}, served in {_form(base.quantization)}{again}"


def _form(quantization: str) -> str:
    return FORMS.get(quantization, quantization)
