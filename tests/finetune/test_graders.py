"""What scores an answer: sums, specs, the built-in formulas by hand, reward models alone and on the base that is trained."""

import json
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from fakes import CountingEmbedder
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import processors
from trained_adapters import train_adapter
from training_rows import rows_of
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2ForSequenceClassification

from assistant.errors import ModelError, UsageError
from assistant.models.quiet import quiet
from assistant.prompt import ABSTENTION
from assistant.records import Message
from finetune.base_model import Base, open_base
from finetune.config import TrainingConfig
from finetune.data.faults import load_dataset
from finetune.graders.checks import FormatGrader, LanguageGrader, LengthGrader, repeated_share
from finetune.graders.errors import GraderFault
from finetune.graders.grader import Sample, WeightedGrader
from finetune.graders.opening import Context, open_grader, open_graders, split_weight
from finetune.graders.passages import hits_of, is_abstention, is_answerable, question_of
from finetune.graders.remembering import remembering
from finetune.graders.reward import RewardGrader, SharedRewardGrader
from finetune.reward_model import RewardModel
from finetune.train import train

HUT = "The hut sleeps 26 people. The warden is Davit Orsolan. Breakfast is at seven. The sauna costs 9 euros."
LIFT = "The lift carries 64 bags."
PASSAGES = [{"text": HUT, "source": "hut.md"}, {"text": LIFT, "source": "lift.md", "heading": ["Lift"]}]
ROW = {"question": "Who is the warden?", "passages": PASSAGES, "answer": "The warden is Davit Orsolan. [1]"}
CONTEXT = Context(embed=CountingEmbedder().embed)


def sample(completion: str, **row: Any) -> Sample:
    return Sample((Message("user", "Who is the warden?"),), completion, row)


class Fixed:
    name = "fixed"

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)

    def score(self, samples: Sequence[Sample]) -> list[float]:
        return self.scores


def test_a_weighted_sum_and_its_parts() -> None:
    grader = WeightedGrader([(Fixed(1, 2), 1.0), (Fixed(4, 8), -0.5), (Fixed(0, 0), 2.0)])
    graded = grader.grade([sample("a"), sample("b")])
    assert graded.totals == grader.score([sample("a"), sample("b")]) == [-1.0, -2.0]
    assert graded.parts == {"fixed": [1, 2], "fixed#2": [4, 8], "fixed#3": [0, 0]}
    assert grader.name == "fixed + -0.5 × fixed#2 + 2 × fixed#3"


@pytest.mark.parametrize(("scores", "said"), [
    ((1.0,), "1 scores for 2 answers"), ((1.0, math.nan), "gave nan for the answer 'b'"), ((-math.inf, 1.0), "gave -inf"),
])  # fmt: skip
def test_no_sum_of_what_is_no_number(scores: tuple[float, ...], said: str) -> None:
    with pytest.raises(GraderFault, match=said):
        WeightedGrader([(Fixed(*scores), 0.5)]).score([sample("a"), sample("b")])


@given(st.floats(allow_nan=False, allow_infinity=False).filter(bool), st.sampled_from(["format", "a/b.py:f", "x:y:z"]))
def test_a_weight_stands_behind_a_star(weight: float, spec: str) -> None:
    assert split_weight(f"{spec}*{weight!r}") == (spec, weight)
    assert split_weight(spec) == (spec, 1.0)


@pytest.mark.parametrize(("spec", "said", "hint"), [
    ("format*0", "has the weight '0'", r"grounding\*0\.5"),
    ("format*x", "has the weight 'x'", "a number"),
    ("format*nan", "has the weight 'nan'", "a number"),
    ("*2", r"has the weight '2'", "a number"),
    ("groundng", "there is no grader 'groundng'", "did you mean 'grounding'"),
    ("format:x", "format takes no 'x'", "--grader format"),
    ("grounding:exact", "grounding takes no 'exact'", "grounding:literal"),
    ("length", "'' is no band", "length:20-60"),
    ("length:60-20", "'60-20' is no band", "length:20-60"),
    ("length:0-9", "'0-9' is no band", "length:20-60"),
    ("language:klingon", "'klingon' is no language", "ISO"),
    ("classifier:model", "names no label", "MODEL:LABEL"),
    ("nowhere.py:f", "there is no 'nowhere.py'", "that is there"),
    ("nowhere.py", "names no function", "file.py:function"),
    ("./nowhere/at/all", "there is no grader", "can be: grounding; citations"),
])  # fmt: skip
def test_a_spec_that_is_none_says_what_is_near(spec: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        open_graders([spec], CONTEXT)
    assert re.search(hint, caught.value.hint)


def test_a_folder_that_is_misspelt_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "reward-huts").mkdir()
    with pytest.raises(UsageError) as caught:
        open_grader(str(tmp_path / "reward-hut"), CONTEXT)
    assert str(tmp_path / "reward-huts") in caught.value.hint
    with pytest.raises(UsageError, match="no grader is given"):
        open_graders([], CONTEXT)


def test_graders_opened_before_one_that_fails_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h.py").write_text("def f(prompt, completion, row): return 1")
    closed: list[str] = []
    monkeypatch.setattr("finetune.graders.function.FunctionGrader.close", lambda self: closed.append(self.name))
    with pytest.raises(UsageError):
        open_graders([f"{tmp_path / 'h.py'}:f", "nonsense"], CONTEXT)
    assert closed == [f"{tmp_path / 'h.py'}:f"]


@pytest.mark.parametrize(("spec", "completion", "score"), [
    ("grounding", "The warden is Davit Orsolan. [1]", 1.0),
    ("grounding", "The warden is Davit Orsolan. [2]", 1.0),  # the marker is for citations to judge
    ("grounding", "The warden is Davit Orsolan. The warden is Ilse.", 0.5),
    ("grounding", "The warden is Ilse Marchetta.", 0.0),
    ("grounding", "The warden is Davit Orsolan. The warden is Davit Orsolan.", 0.5),
    ("grounding", f"{HUT} [1]", 1 - (2 * 99 / 102 - 1)),  # 99 of the passage's 102 characters are in its sentences
    ("grounding", ABSTENTION, 0.0),
    ("grounding", "", 0.0),
    ("grounding", " [1] ...", 0.0),
    ("citations", "The warden is Davit Orsolan. [1]", 1.0),
    ("citations", "The warden is Davit Orsolan [1].", 1.0),
    ("citations", "The warden is Davit Orsolan. [2]", 0.0),
    ("citations", "The warden is Davit Orsolan. [9]", 0.0),
    ("citations", "The warden is Davit Orsolan. [1] [2]", 2 * 0.5 / 1.5),
    ("citations", "The warden is Davit Orsolan.", 0.0),
    ("citations", "The warden is Davit Orsolan. [1] The lift carries 64 bags. [2]", 1.0),
    ("citations", "The warden is Davit Orsolan. [1] The lift carries 65 bags. [2]", 0.5),
    ("abstention", "The warden is Ilse.", 1.0),
    ("abstention", ABSTENTION, 0.0),
    ("abstention", "", 0.0),
])  # fmt: skip
@pytest.mark.parametrize("literal", [":literal", ""])
def test_the_checks_by_hand(spec: str, completion: str, score: float, literal: str) -> None:
    grader = open_grader(spec + (literal if spec != "abstention" else ""), CONTEXT)
    assert grader.score([sample(completion, **ROW)]) == [pytest.approx(score)]


@pytest.mark.parametrize("spec", ["grounding", "citations", "abstention"])
def test_where_nothing_can_be_answered_abstaining_is_right(spec: str) -> None:
    row = ROW | {"answer": ABSTENTION}
    grader = open_grader(spec, CONTEXT)
    told = "The warden is Ilse. [1]"
    assert grader.score([sample(ABSTENTION, **row), sample(f"{ABSTENTION} [1]", **row), sample(told, **row)]) == [1, 1, 0]
    assert grader.score([sample(ABSTENTION, **ROW, unanswerable=True), sample(ABSTENTION, **ROW, answerable=True)]) == [1, 0]


def test_what_means_the_same_is_supported_too_unless_the_words_are_wanted(exported_models: Path) -> None:
    said = sample("Davit Orsolan is the warden of the hut. [1]", **ROW)
    for name in ("grounding", "citations"):
        assert open_grader(name, Context(models=exported_models)).score([said]) == [1.0]
        assert open_grader(f"{name}:literal", CONTEXT).score([said]) == [0.0]


def test_rows_that_a_check_cannot_judge_are_an_error() -> None:
    with pytest.raises(GraderFault, match=r"grounding needs the passages .* 'Who is the warden"):
        open_grader("grounding", CONTEXT).score([sample("Davit.")])
    with pytest.raises(GraderFault, match="abstention needs to know whether"):
        open_grader("abstention", CONTEXT).score([sample("Davit.")])


def test_passages_are_read_from_the_prompt_where_the_row_has_none(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW))
    (row,) = load_dataset([tmp_path / "rows.jsonl"]).rows
    *prompt, answer = row.messages  # type: ignore[union-attr]
    bare = Sample(tuple(prompt), answer.content, {})
    assert question_of(bare) == ROW["question"]
    assert [hit.passage.text for hit in hits_of(bare)] == [HUT, LIFT]
    for spec in ("grounding:literal", "citations:literal"):
        assert open_grader(spec, CONTEXT).score([bare]) == [1.0]


@pytest.mark.parametrize(("row", "answerable"), [
    ({}, None), ({"answerable": False}, False), ({"unanswerable": True}, False), ({"answer": "Nine."}, True),
    ({"chosen": [{"role": "assistant", "content": ABSTENTION}]}, False), ({"messages": [{"role": "user", "content": "x"}]}, True),
    ({"answer": "Nine.", "unanswerable": True}, False), ({"answer": ""}, None), ({"answerable": "no"}, None),
])  # fmt: skip
def test_a_row_says_whether_it_can_be_answered(row: dict[str, Any], answerable: bool | None) -> None:
    assert is_answerable(row) is answerable


def test_abstaining_is_to_say_nothing_else() -> None:
    assert is_abstention("not in these documents [1]")
    assert not is_abstention(f"{ABSTENTION} But the warden is Ilse.")


@pytest.mark.parametrize(("completion", "score"), [
    ("It is far.", 1.0), ("It is far. [1]", 1.0), ("It is far [1].", 1.0), ("It is", 0.5), ("", 0.0), ("[1]", 0.0), ("...", 0.0),
    ("a b c d a b c d.", 0.5 + 0.5 * 0.8), ("遠いです。", 1.0), ("`x`.\n```\nx\n```", 1.0), ("He said “far.”", 1.0),
])  # fmt: skip
def test_format_by_hand(completion: str, score: float) -> None:
    assert FormatGrader().score([sample(completion)]) == [pytest.approx(score)]


@pytest.mark.parametrize(("count", "score"), [(0, 0), (5, 0.5), (10, 1), (20, 1), (25, 0.75), (40, 0), (400, 0)])
def test_length_by_hand(count: int, score: float) -> None:
    assert LengthGrader(10, 20).score([sample("word " * count + "[1]")]) == [score]


def test_language_by_hand() -> None:
    german, english = "Das Wetter war letzte Woche sehr schön.", "The weather was very fine last week."
    samples = [sample(german), sample(english), sample("42"), sample("")]
    assert LanguageGrader("en").score(samples) == [0.0, 1.0, 0.0, 0.0]
    asked = Sample((Message("user", "Wie war denn letzte Woche das Wetter in den Bergen?"),), german, {})
    assert LanguageGrader().score([asked, sample(german, question="What was the weather like last week?")]) == [1.0, 0.0]
    assert open_grader("language:English", CONTEXT).name == "language:en"


@given(st.text(max_size=200))
def test_built_ins_stay_between_0_and_1_on_any_text(text: str) -> None:
    specs = ("grounding:literal", "citations:literal", "abstention", "format", "length:3-9")
    for spec in specs:
        (score,) = open_grader(spec, CONTEXT).score([sample(text, **ROW)])
        assert 0.0 <= score <= 1.0


@given(st.lists(st.sampled_from("ab"), max_size=30))
def test_repeated_runs_are_those_seen_before(said: list[str]) -> None:
    runs = [tuple(said[at : at + 4]) for at in range(len(said) - 3)]
    again = sum(run in runs[:at] for at, run in enumerate(runs))
    assert repeated_share(said) == pytest.approx(again / len(runs) if runs else 0.0)


def test_a_memory_embeds_no_text_twice_and_forgets_the_oldest() -> None:
    counting = CountingEmbedder()
    embed = remembering(counting.embed, most=2)
    assert (embed(["a", "b", "a"]) == CountingEmbedder().embed(["a", "b", "a"])).all()
    embed(["b"]), embed(["c"]), embed(["b"]), embed(["a"])
    assert counting.texts == ["a", "b", "c", "a"]


@pytest.fixture(scope="module")
def rewards(tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("rewards")
    return {name: train_adapter(folder / f"reward-{name}", base, "reward") for name, base in tiny.items()}


def base_of(folder: Path) -> Base:
    settings: dict[str, Any] = {"device": "cpu", "max_length": 256}
    return open_base(TrainingConfig(method="sft", base=str(folder), data=(), out="", **settings))


ASKED = [
    sample("It is 4 km up. [1]"),
    Sample((Message("system", "Be short."), Message("user", "Where is hut 3?")), "Well, " * 9, {}),
    sample(""),
    sample("ä\u2028<|eot_id|>"),
]


def expected(folder: Path) -> list[float]:
    return RewardModel.load(folder).score([(each.prompt, each.completion) for each in ASKED])


@pytest.mark.parametrize("name", ["llama3", "gemma2", "gpt2"])
def test_a_reward_scores_the_same_alone_and_on_the_base_that_is_trained(
    name: str, rewards: dict[str, Path], tiny: dict[str, Path]
) -> None:
    base, told = base_of(tiny[name]), []  # type: ignore[var-annotated]
    wanted = expected(rewards[name])
    assert max(wanted) - min(wanted) > 0.01
    with quiet():
        policy = get_peft_model(base.loaded.model, LoraConfig(target_modules=list(base.targets), init_lora_weights=False))
    policy.train()
    trains = [parameter.requires_grad for parameter in policy.parameters()]
    ids = torch.arange(3, 12)[None]
    torch.manual_seed(0)  # GPT-2 drops out while it is trained
    before = policy(input_ids=ids).logits
    grader = open_grader(str(rewards[name]), Context(base=base, announce=told.append))
    assert isinstance(grader, SharedRewardGrader)
    assert "no second model" in told[0]
    assert grader.score(ASKED) == pytest.approx(wanted, abs=1e-4)
    assert [grader.score([each])[0] for each in ASKED] == pytest.approx(wanted, abs=1e-4)
    torch.manual_seed(0)
    assert torch.equal(policy(input_ids=ids).logits, before)
    assert [parameter.requires_grad for parameter in policy.parameters()] == trains
    assert policy.training
    alone = open_grader(str(rewards[name]), Context())
    assert isinstance(alone, RewardGrader)
    assert alone.score(ASKED) == pytest.approx(wanted, abs=1e-5)


def test_a_reward_of_another_tokenizer_reads_text_and_that_is_said(rewards: dict[str, Path], tiny: dict[str, Path]) -> None:
    told: list[str] = []
    grader = open_grader(str(rewards["gpt2"]), Context(base=base_of(tiny["llama3"]), announce=told.append))
    assert grader.score(ASKED) == pytest.approx(expected(rewards["gpt2"]), abs=1e-5)
    assert any("its base is another" in line for line in told)
    assert any("reads what is written as text" in line for line in told)
    with pytest.raises(ModelError, match="whose weights are not those of"):
        SharedRewardGrader(rewards["gpt2"], base_of(tiny["llama3"]))


def test_a_reward_with_tokens_of_its_own_takes_a_base_of_its_own(tiny: dict[str, Path], tmp_path: Path) -> None:
    folder = train_adapter(tmp_path / "added", tiny["llama3"], "reward", add_tokens=("<|user|>",))
    told: list[str] = []
    grader = open_grader(str(folder), Context(base=base_of(tiny["llama3"]), announce=told.append))
    assert isinstance(grader, RewardGrader)
    assert "tokens that its base lacks" in told[0]
    assert grader.score(ASKED) == pytest.approx(expected(folder), abs=1e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_prompts_longer_than_the_model_reads_lose_their_beginning_and_that_is_said_once(
    shared: bool, rewards: dict[str, Path], tiny: dict[str, Path]
) -> None:
    told: list[str] = []
    grader = open_grader(str(rewards["gpt2"]), Context(base=base_of(tiny["gpt2"]) if shared else None, announce=told.append))
    long = Sample((Message("user", "far " * 2000),), "It is 4 km up. [1]", {})
    longer = Sample((Message("user", "Is it " + "far " * 2000),), "It is 4 km up. [1]", {})
    assert grader.score([long, long]) == pytest.approx(grader.score([longer, long]), abs=1e-4)
    assert sum("2 of 2 texts are longer than" in line for line in told) == 1


def test_an_adapter_that_writes_and_a_damaged_one_are_no_graders(
    tiny: dict[str, Path], rewards: dict[str, Path], tmp_path: Path
) -> None:
    damaged = shutil.copytree(rewards["llama3"], tmp_path / "damaged")
    (damaged / "adapter_model.safetensors").write_bytes(b"\0" * 100)
    other = shutil.copytree(rewards["llama3"], tmp_path / "other")
    tensors = load_file(other / "adapter_model.safetensors")
    save_file({name: tensor + 0.1 for name, tensor in tensors.items()}, other / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="computes a score that is off by"):
        open_grader(str(other), Context(base=base_of(tiny["llama3"])))
    with pytest.raises(ModelError, match="can't read"):
        open_grader(str(damaged), Context(base=base_of(tiny["llama3"])))
    writes = train_adapter(tmp_path / "writes", tiny["llama3"], "sft")
    for base in (None, base_of(tiny["llama3"])):
        with pytest.raises(ModelError, match=r"can't score|no head of one score"):
            open_grader(str(writes), Context(base=base))


@pytest.fixture(scope="module")
def classes(tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of("classes", 24)))
    given: dict[str, Any] = {"max_steps": 20, "epochs": 10.0, "learning_rate": 3e-3, "samples": 0, "max_length": 256, "batch": 4}
    paths = {"base": str(tiny["llama3"]), "data": (str(folder / "rows.jsonl"),), "out": str(folder / "kinds")}
    train(TrainingConfig(method="reward", **paths, **given, device="cpu"))  # type: ignore[arg-type]
    return folder / "kinds"


def test_a_label_of_an_adapter_of_ours(classes: Path) -> None:
    good, bad = sample("It is 40 km up. [1]"), sample("Well, Well, Well, ")
    grader = open_grader(f"classifier:{classes}:short", CONTEXT)
    assert grader.name == "classifier:kinds:short"
    odds = grader.score([good, bad])
    assert odds[0] > 0 > odds[1]
    assert open_grader(f"classifier:{classes}:Rambling", CONTEXT).score([good, bad]) == pytest.approx([-each for each in odds])
    shares = open_grader(f"probability:{classes}:short", CONTEXT).score([good, bad])
    assert shares == pytest.approx([1 / (1 + math.exp(-each)) for each in odds])
    with pytest.raises(UsageError, match="names classes") as caught:
        open_grader(str(classes), CONTEXT)
    assert caught.value.hint == f"--grader classifier:{classes}:short"
    with pytest.raises(UsageError, match="knows no class 'shrt': it knows rambling, short"):
        open_grader(f"classifier:{classes}:shrt", CONTEXT)


def test_a_label_of_a_reward_that_knows_none(rewards: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="knows no classes"):
        open_grader(f"classifier:{rewards['gpt2']}:good", CONTEXT)


def encoder(folder: Path, **config: Any) -> tuple[Path, Any, Any]:
    """A tiny BERT with a head of its own."""
    tokenizer = tiny_models.byte_level(("[PAD]", "[CLS]", "[SEP]"), bos="[CLS]", eos="[SEP]", begins=False)
    tokenizer.add_special_tokens({"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"})
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    ends = [("[CLS]", tokenizer.cls_token_id), ("[SEP]", tokenizer.sep_token_id)]
    template = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B:1 [SEP]:1", "special_tokens": ends}
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(**template)
    size = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "initializer_range": 0.5,
    }
    ids = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "max_position_embeddings": 128}
    torch.manual_seed(0)
    with quiet():
        model = BertForSequenceClassification(BertConfig(**size, **ids, **config)).eval()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


NAMED = {"id2label": {0: "NEGATIVE", 1: "NEUTRAL", 2: "POSITIVE"}, "label2id": {"NEGATIVE": 0, "NEUTRAL": 1, "POSITIVE": 2}}


@pytest.mark.parametrize("kind", ["single_label_classification", "multi_label_classification"])
def test_a_label_of_any_sequence_classifier(kind: str, tmp_path: Path) -> None:
    folder, model, tokenizer = encoder(tmp_path / "bert", problem_type=kind, **NAMED)
    texts = ["Good.", "", "A much longer text than the others."]
    found = [model(**tokenizer(text, return_tensors="pt")).logits[0] for text in texts]
    shares = [logits.softmax(0)[2] if kind.startswith("single") else logits[2].sigmoid() for logits in found]
    samples = [sample(text) for text in texts]
    assert open_grader(f"probability:{folder}:positive", CONTEXT).score(samples) == pytest.approx(
        [each.item() for each in shares], 1e-4
    )
    odds = [(share / (1 - share)).log().item() for share in shares]
    assert open_grader(f"classifier:{folder}:2", CONTEXT).score(samples) == pytest.approx(odds, abs=1e-4)
    with pytest.raises(UsageError, match=r"has 3 outputs \(NEGATIVE, NEUTRAL, POSITIVE\)"):
        open_grader(str(folder), CONTEXT)


def test_a_text_that_is_gone_on_with_is_read_whole(tmp_path: Path) -> None:
    folder, *_ = encoder(tmp_path / "bert", **NAMED)
    grader = open_grader(f"classifier:{folder}:POSITIVE", CONTEXT)
    begun = Sample((Message("user", "This film is"),), " dull.", {"text": "This film is great fun."})
    assert grader.score([begun]) == pytest.approx(grader.score([sample("This film is dull.")]))
    assert grader.score([begun]) != pytest.approx(grader.score([sample(" dull.")]))


def test_a_model_of_one_output_scores_prompt_and_answer(tmp_path: Path) -> None:
    folder, model, tokenizer = encoder(tmp_path / "bert", num_labels=1)
    encoded = [tokenizer("Q?", text, return_tensors="pt") for text in ("Yes.", "No, never.")]
    assert encoded[0]["token_type_ids"].sum() > 0  # which of the two texts a token is of
    wanted = [model(**each).logits.item() for each in encoded]
    grader = open_grader(str(folder), CONTEXT)
    found = grader.score([Sample((Message("user", "Q?"),), text, {}) for text in ("Yes.", "No, never.")])
    assert found == pytest.approx(wanted, abs=1e-5)
    assert math.isfinite(grader.score([Sample((Message("user", "far " * 200),), "Yes.", {})])[0])


def decoder(folder: Path, *, num_labels: int) -> Path:
    """A tiny GPT-2 with a head of its own."""
    tokenizer = tiny_models.byte_level(("<|endoftext|>",), bos="<|endoftext|>", eos="<|endoftext|>", begins=False)
    config = GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=256, vocab_size=len(tokenizer), num_labels=num_labels)
    torch.manual_seed(0)
    with quiet():
        GPT2ForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def test_a_decoder_of_one_output_is_read_at_its_last_token(tmp_path: Path) -> None:
    grader = open_grader(str(decoder(tmp_path / "rm", num_labels=1)), CONTEXT)
    short, long = sample("Yes."), sample("No, never, not at all, whatever they say.")
    assert grader.score([short, long]) == pytest.approx([grader.score([short])[0], grader.score([long])[0]], abs=1e-5)
    assert grader.score([short]) != pytest.approx(grader.score([long]), abs=1e-4)


def test_an_empty_answer_has_a_score(tmp_path: Path) -> None:
    folder = decoder(tmp_path / "classes", num_labels=2)
    grader = open_grader(f"classifier:{folder}:LABEL_1", CONTEXT)
    empty, said = sample(""), sample("Well.")
    assert all(map(math.isfinite, grader.score([empty, said])))
    assert grader.score([said]) == pytest.approx(grader.score([empty, said])[1:], abs=1e-5)


def test_a_head_that_would_be_made_up_is_refused(tiny: dict[str, Path]) -> None:
    for spec in (str(tiny["llama3"]), f"classifier:{tiny['gpt2']}:LABEL_1"):
        with pytest.raises(ModelError, match=r"has no trained head \(score.weight is missing\)"):
            open_grader(spec, CONTEXT)
