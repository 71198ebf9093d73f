"""Chat formats with the families' real tokenizers: our token ids against the publishers' own way of putting them together.

The references are written out here from the published formats, piece by piece and without any template: Meta's `ChatFormat` for
Llama 3, SentencePiece itself for Llama 2 (pip install sentencepiece). The contents are llama.cpp's test texts, whose right ids
are known too, and the injections of the tests. Gemma 2's tokenizer isn't published without its licence: its format is checked in
tests/models/test_families.py with published ids.

    python benchmarks/templates.py FOLDER      # with llama3/, llama2/, gpt2/, smollm2/ and llama_cpp_test_vectors/ in it
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import AddedToken, Tokenizer, models, normalizers
from transformers import AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast

from assistant.models.families import LLAMA_2
from assistant.models.quiet import quiet
from assistant.models.rendering import recognise, render, stop_ids
from assistant.records import Message

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from injections import INJECTIONS

SEPARATOR = "\n__ggml_vocab_test__\n"
VECTORS = {"llama3": "llama-bpe", "llama2": "llama-spm", "gpt2": "gpt-2"}
LLAMA_3_SPECIAL = (
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
    "<|eot_id|>", "<|python_tag|>", *(f"<|reserved_special_token_{n}|>" for n in range(3, 248)),
)  # fmt: skip
Reference = Callable[[Sequence[Message]], list[int]]


def load_llama3(folder: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": list(LLAMA_3_SPECIAL)})
    tokenizer.bos_token, tokenizer.eos_token = "<|begin_of_text|>", "<|eot_id|>"
    return tokenizer


def load_llama2(folder: Path) -> Any:
    """Llama 2's tokenizer as its published tokenizer.json has it.

    transformers 5 ranks the merges of a tokenizer.model by id, not by score, and puts no space before a text that begins with
    one: 32 of the 47 texts come out right that way.
    """
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    vocab = {processor.id_to_piece(at): at for at in range(processor.get_piece_size())}
    splits = [(piece[:cut], piece[cut:]) for piece in vocab for cut in range(1, len(piece))]
    known = [pair for pair in splits if pair[0] in vocab and pair[1] in vocab]
    merges = sorted(known, key=lambda pair: -processor.get_score(vocab["".join(pair)]))
    backend = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")])
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, add_bos_token=True, chat_template=LLAMA_2, **names)


def llama3_reference(tokenizer: Any) -> Reference:
    """Meta's `ChatFormat`: header, two line ends, the stripped text, end of turn; each encoded by itself."""

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def header(role: str) -> list[int]:
        return [128006, *encode(role), 128007, *encode("\n\n")]

    def reference(messages: Sequence[Message]) -> list[int]:
        turns = [token for one in messages for token in (*header(one.role), *encode(one.content.strip()), 128009)]
        return [128000, *turns, *header("assistant")]

    return reference


def llama2_reference(folder: Path) -> Reference:
    """Meta's `chat_completion`: each exchange encoded by SentencePiece itself, between BOS and EOS."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))

    def reference(messages: Sequence[Message]) -> list[int]:
        system, *turns = [one.content.strip() for one in messages]
        turns[0] = f"<<SYS>>\n{system}\n<</SYS>>\n\n{turns[0]}"
        ids: list[int] = []
        for question, answer in zip(turns[:-1:2], turns[1::2], strict=True):
            ids += [1, *processor.encode(f"[INST] {question} [/INST] {answer} "), 2]
        return [*ids, 1, *processor.encode(f"[INST] {turns[-1]} [/INST]")]

    return reference


def gpt2_reference(tokenizer: Any) -> Reference:
    def reference(messages: Sequence[Message]) -> list[int]:
        system, first, answer, second = [one.content for one in messages]
        text = f"{system}\n\n{first}\nAnswer: {answer.strip()}\n\n{second}\nAnswer:"
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    return reference


def own_reference(tokenizer: Any) -> Reference:
    """What transformers makes of the tokenizer's own template."""

    def reference(messages: Sequence[Message]) -> list[int]:
        turns = [{"role": one.role, "content": one.content} for one in messages]
        return list(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))

    return reference


def vectors(folder: Path, name: str) -> Iterator[tuple[str, list[int]]]:
    """Texts and their right ids."""
    stem = folder / "llama_cpp_test_vectors" / f"ggml-vocab-{VECTORS[name]}.gguf"
    texts = Path(f"{stem}.inp").read_text(encoding="utf-8").split(SEPARATOR)
    lines = Path(f"{stem}.out").read_text(encoding="utf-8").split("\n")
    for text, line in zip(texts, lines, strict=False):
        yield text, [int(number) for number in line.split()]


def conversations(texts: Sequence[str]) -> Iterator[list[Message]]:
    """Every text in every role, the empty and the blank among them."""
    for at, text in enumerate(texts):
        other = texts[(at + 7) % len(texts)]
        yield [
            Message("system", "Be brief."),
            Message("user", text),
            Message("assistant", other),
            Message("user", f"{other} {text}"),
        ]


def trl_agreement(tokenizer: Any, family: Any, talks: Sequence[list[Message]]) -> str:
    found = importlib.util.find_spec("trl")
    if found is None or found.origin is None or family.name != "llama3":
        return "–"
    path = Path(found.origin).parent / "chat_templates" / "llama3.jinja"
    ours = [render(tokenizer, family, talk) for talk in talks]
    before, tokenizer.chat_template = tokenizer.chat_template, path.read_text(encoding="utf-8")
    theirs = [render(tokenizer, family, talk) for talk in talks]
    tokenizer.chat_template = before
    return f"{sum(one == other for one, other in zip(ours, theirs, strict=True))}/{len(talks)}"


def intruders(tokenizer: Any, family: Any) -> int:
    """Injections after which a prompt holds other special tokens than the template's."""
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)

    def control(text: str) -> list[int]:
        messages = [Message("system", text), Message("user", text), Message("assistant", text), Message("user", text)]
        return [one for one in render(tokenizer, family, messages) if one in special]

    calm = control("x")
    return sum(control(text) != calm for text in INJECTIONS)


def row(name: str, tokenizer: Any, reference: Reference, folder: Path) -> str:
    known = list(vectors(folder, name)) if name in VECTORS else []
    right = sum(list(tokenizer(text, add_special_tokens=False)["input_ids"]) == ids for text, ids in known)
    texts = [text for text, _ in (known or vectors(folder, "gpt2")) if text.strip()]
    family = recognise(LlamaConfig() if name != "gpt2" else object(), tokenizer, name=name)
    talks = list(conversations(texts))
    same = sum(render(tokenizer, family, talk) == reference(talk) for talk in talks)
    one_bos = (
        sum(render(tokenizer, family, talk)[:2].count(tokenizer.bos_token_id) == 1 for talk in talks) if name != "gpt2" else 0
    )
    stops = " ".join(tokenizer.convert_ids_to_tokens(list(stop_ids(tokenizer, family))))
    cells = [f"{right}/{len(known)}" if known else "–", f"{same}/{len(talks)}", trl_agreement(tokenizer, family, talks)]
    cells += [f"{one_bos}/{len(talks)}" if one_bos else "none", f"{intruders(tokenizer, family)}/{len(INJECTIONS)}"]
    return f"{name:9}{family.name:10}" + "".join(f"{cell:>11}" for cell in cells) + f"   {stops}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with quiet():
        llama3, llama2 = load_llama3(folder / "llama3"), load_llama2(folder / "llama2")
        gpt2, smollm2 = AutoTokenizer.from_pretrained(folder / "gpt2"), AutoTokenizer.from_pretrained(folder / "smollm2")
        heads = ("texts", "reference", "trl", "one BOS", "intruders")
        print("tokenizer family   " + "".join(f"{head:>11}" for head in heads) + "   stop tokens")
        print(row("llama3", llama3, llama3_reference(llama3), folder))
        print(row("llama2", llama2, llama2_reference(folder / "llama2"), folder))
        print(row("gpt2", gpt2, gpt2_reference(gpt2), folder))
        print(row("smollm2", smollm2, own_reference(smollm2), folder))


if __name__ == "__main__":
    main()
