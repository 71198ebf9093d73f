"""A trained reward model, loaded from its folder: texts in, scores out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from assistant.adapters.manifest import Manifest, read_manifest
from assistant.errors import ModelError
from assistant.models.checkpoint import Checkpoint
from assistant.models.families import context_length
from assistant.models.fingerprint import base_fingerprint
from assistant.models.hardware import choose_hardware
from assistant.models.pretrained import read_tokenizer
from assistant.models.quiet import quiet
from assistant.records import Message
from finetune.formatting import Formatter
from finetune.reward import scores_of
from finetune.saving import load_adapter
from finetune.scoring import Scorer, add_tokens, find_scoring_model, load_scoring_model, scoring_formatter


class RewardModel:
    """Scores answers.

    Args:
        model: the base with its adapter and head.
        formatter: renders what is scored.
        manifest: what the adapter says of itself.

    Attributes:
        context: the most tokens that it reads.
    """

    def __init__(self, model: Any, formatter: Formatter, manifest: Manifest) -> None:
        self._model, self.formatter, self.manifest = model, formatter, manifest
        self.context = context_length(model.config, formatter.tokenizer)

    @classmethod
    def load(cls, folder: Path, *, base: str | None = None, announce: Callable[[str], None] = lambda _: None) -> "RewardModel":
        """Load an adapter of ``finetune reward`` onto its base.

        Args:
            folder: the adapter's.
            base: where the base lies now; None: where it lay when it was trained.
            announce: told what goes on.

        Raises:
            ModelError: it is no reward model, or the base is another.
        """
        from peft import PeftConfig, get_peft_model
        from safetensors import safe_open

        manifest = read_manifest(folder)
        if manifest.role != "reward":
            raise ModelError(
                f"{str(folder)!r} writes answers and can't score them", hint="finetune reward --help makes one that does"
            )
        checkpoint = find_scoring_model(base or manifest.base.id)
        if base_fingerprint(checkpoint) != manifest.base.fingerprint:
            raise ModelError(
                f"{str(folder)!r} was trained on {manifest.base.id!r}, and the weights of {checkpoint.name!r} are others",
                hint=f"name its base: {manifest.base.id}",
            )
        with quiet():
            own = folder if (folder / "tokenizer.json").is_file() else checkpoint.folder
            tokenizer = read_tokenizer(Checkpoint(checkpoint.name, own))
            add_tokens(tokenizer, ())
            hardware = choose_hardware("auto", "fp32")
            announce(f"loading {checkpoint.name} to score with {folder.name}: {hardware.label}")
            with safe_open(folder / "head.safetensors", "pt") as head:
                outputs = next(head.get_tensor(name).shape[0] for name in head.keys() if name.endswith("weight"))  # noqa: SIM118
            model = load_scoring_model(Scorer(checkpoint, tokenizer, int(outputs)), hardware, "none")
            config = PeftConfig.from_pretrained(str(folder))
            config.modules_to_save = ["score", "classifier"]
            wrapped = get_peft_model(model, config)
            load_adapter(wrapped, folder, "scores")
            wrapped.set_adapter("scores")
            wrapped.delete_adapter("default")
        return cls(wrapped.eval(), scoring_formatter(model, tokenizer, name=checkpoint.name), manifest)

    def score(self, asked: Sequence[tuple[Sequence[Message], str]]) -> list[float]:
        """Score answers, in standard deviations from the mean of held-out answers.

        Args:
            asked: prompts with their answers.
        """
        ids = [self.formatter.prompt(prompt) + self.formatter.answer(answer) for prompt, answer in asked]
        scale = self.manifest.reward or {"mean": 0.0, "std": 1.0}
        return [(output[0] - scale["mean"]) / scale["std"] for output in self.outputs(ids)]

    def classify(self, texts: Sequence[str]) -> list[str]:
        """Name the class of texts.

        Raises:
            ModelError: it scores answers, and knows no classes.
        """
        classes = self.manifest.classes
        if not classes:
            raise ModelError(
                f"{self.manifest.name!r} gives scores, not classes", hint="finetune reward on rows of text and label makes one"
            )
        found = self.outputs([self.formatter.text(text).ids for text in texts])
        return [classes[max(range(len(output)), key=output.__getitem__)] for output in found]

    def outputs(self, ids: Sequence[Sequence[int]]) -> list[list[float]]:
        """What the head says to texts of ids: one list a text."""
        return scores_of(self._model, ids, self.formatter.pad_id())
