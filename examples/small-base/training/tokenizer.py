r"""The small base's tokenizer: byte-level BPE, digits one by one, Llama 3's special tokens and chat template.

    python tokenizer.py --out FOLDER [--packs 4000]

What has to be copied must read the same wherever it stands, so a word has one spelling in tokens: with a space before it. The
normaliser puts one at the beginning and behind every line break, and, with an invisible mark, behind commas, brackets, pipes and
quotation marks; the decoder takes them away again.
"""

import argparse
import json
import random
import re
from pathlib import Path

from handbook import handbook
from rows import Mix, make_pack
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 4096
CONTEXT = 1024
JOINED = "\ue000"
OPENING = ",;\t([\"“'‘/`*|=:."
SPECIAL = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|finetune_right_pad_id|>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def train(texts: list[str]) -> PreTrainedTokenizerFast:
    """Learn the merges from texts."""
    tokenizer = Tokenizer(models.BPE())
    steps = [normalizers.Prepend(" ")]
    steps += [normalizers.Replace(Regex(r"\A (?=\n)"), ""), normalizers.Replace(Regex(r"\n(?=[^\n])"), "\n ")]
    # one step a character: a pattern that takes no character at all makes the library panic on short texts
    steps += [normalizers.Replace(Regex(re.escape(mark) + r"(?=\p{L})"), f"{mark}{JOINED} ") for mark in OPENING]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n+"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteLevel(), decoders.Replace(JOINED + " ", ""), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def write(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the tokenizer's two files: the template within the second, a class that every version of transformers knows."""
    tokenizer.save_pretrained(folder, save_jinja_files=False)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text("utf-8"))
    kept = {key: value for key, value in config.items() if key not in ("backend", "is_local", "local_files_only")}
    kept |= {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": CHAT_TEMPLATE}
    file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--packs", type=int, default=4000)
    options = parser.parse_args()
    rng = random.Random(0)
    texts = []
    for _ in range(options.packs):
        pack = make_pack(rng, Mix())
        texts += [pack.passages, *(f"Question: {each.question}\n\n{each.answer}" for each in pack.branches)]
    texts += [hit.passage.text for hit in handbook()] * 4
    texts += [pack.system] * (options.packs // 10)
    tokenizer = train(texts)
    options.out.mkdir(parents=True, exist_ok=True)
    write(tokenizer, options.out)
    sample = texts[:3000]
    characters = sum(map(len, sample)) / sum(map(len, tokenizer(sample)["input_ids"]))
    print(f"{len(tokenizer)} tokens of {characters:.2f} characters")


if __name__ == "__main__":
    main()
