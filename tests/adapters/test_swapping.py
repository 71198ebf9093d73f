"""Swapping adapters beside one base: whatever came before, an answer is the one of a cold start."""

import gc
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from random_adapters import ATTENTION, random_adapter

from assistant.adapters.selection import Chosen, Selection
from assistant.adapters.swapping import Adapters
from assistant.models import Decoding
from assistant.models.loading import Loaded, Request, load
from assistant.models.local import LocalModel
from assistant.records import Message, Prompt, Step

SMALL = Path(__file__).parents[2] / "examples" / "small-base"
MAKE: dict[str, Callable[[Path], Path]] = {
    "llama3": tiny_models.tiny_llama3,
    # a tied one of random weights repeats its last token, whatever an adapter does
    "gemma2": lambda folder: tiny_models.tiny_gemma2(folder, tie_word_embeddings=False),
}
DECODING = Decoding(max_tokens=4)
QUESTIONS = ("How many sleep at the hut?", "When does it open?", "Who may talk to the press, and why?")


@dataclass
class Served:
    """A base in memory, the same loaded again for cold starts, its folder, and adapters of it."""

    folder: Path
    loaded: Loaded
    cold: Loaded
    adapters: tuple[Chosen, ...]


@pytest.fixture(scope="module", params=["llama3", "gemma2", "small", "llama3-nf4", "gemma2-nf4", "small-nf4"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Served:
    family, _, quantization = request.param.partition("-")
    folder = tmp_path_factory.mktemp(request.param)
    base = SMALL if family == "small" else MAKE[family](folder / "b")
    kinds: tuple[dict[str, Any], ...] = (
        {}, {"r": 2, "lora_alpha": 8, "target_modules": ATTENTION}, {"r": 8, "use_rslora": True},
        {"use_dora": True} if family != "small" and not quantization else {"r": 3},
        {"target_modules": ["q_proj", "down_proj"], "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 3}},
    )  # fmt: skip
    made = tuple(random_adapter(base, folder / f"a{at}", seed=at, strength=1.0, **kind) for at, kind in enumerate(kinds))
    warm, cold = (load(str(base), Request(quantization or "none", device="cpu", dtype="fp32")) for _ in range(2))  # type: ignore[arg-type]
    return Served(base, warm, cold, made)


def prompt(question: str) -> Prompt:
    return Prompt(question, (), messages=(Message("user", question),))


def answer(model: LocalModel, question: str, step: Step = "answer") -> list[int]:
    """The tokens of an answer."""
    tokens: list[int] = []
    real = model._decoder.stream

    def heard(*given: Any, **named: Any) -> Iterator[int]:
        for token in real(*given, **named):
            tokens.append(token)
            yield token

    model._decoder.stream = heard  # type: ignore[method-assign]
    for _ in model.stream(replace(prompt(question), step=step)):
        pass
    model._decoder.stream = real  # type: ignore[method-assign]
    return tokens


def digest(model: Any) -> int:
    """Of every weight: not through ``state_dict``, for which bitsandbytes changes 4-bit ones."""
    return hash(b"".join(each.detach().reshape(-1).view(torch.uint8).numpy().tobytes() for each in model.parameters()))


def tensor_bytes() -> int:
    gc.collect()
    storages = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
        for one in gc.get_objects()
        if issubclass(type(one), torch.Tensor)
    }
    return sum(storages.values())


def selections(adapters: tuple[Chosen, ...], draw: random.Random) -> Selection:
    """None, one, or two; what only PEFT computes alone, and in full."""
    chosen = draw.sample(adapters, draw.choice((0, 1, 1, 1, 2)))
    slow = [one for one in chosen if one.slow]
    return tuple(slow[:1]) or tuple(one.at(draw.choice((1.0, 1.0, 0.5, 2.0))) for one in chosen)


def cold(served: Served, wanted: Selection, question: str) -> list[int]:
    """What a base that is loaded by itself answers, with nothing kept from before."""
    model = LocalModel(served.cold, decoding=replace(DECODING, reuse=False))
    model.use_adapters({"answer": wanted})
    written = answer(model, question)
    model.adapters.close()
    return written


def test_after_any_sequence_an_answer_is_the_cold_ones(served: Served) -> None:
    """50 sequences a base, 300 in all: load, swap, scale, add, unload, ask."""
    draw, expected = random.Random(7), {}
    for loaded in (served.loaded, served.cold):  # bitsandbytes packs 4-bit weights at the first use
        answer(LocalModel(loaded, decoding=DECODING), QUESTIONS[0])
    start, before = tensor_bytes(), digest(served.loaded.model)
    for _ in range(50):
        steps = [(draw.random(), selections(served.adapters, draw), draw.choice(QUESTIONS)) for _ in range(draw.randint(2, 5))]
        for _, wanted, question in steps:
            for one in (wanted, ()):
                if (one, question) not in expected:
                    expected[one, question] = cold(served, one, question)
        model = LocalModel(served.loaded, decoding=DECODING)
        model.adapters = Adapters(served.loaded.model, most=draw.choice((1, 2, 8)))
        for do, wanted, question in steps:
            if do < 0.15:
                model.adapters.unload(draw.choice(served.adapters).fingerprint)
            elif do < 0.3:
                model.adapters.prefetch(wanted).result()
            model.use_adapters({"answer": wanted})
            if do > 0.85:  # a follow-up in between is the base's
                answer(model, QUESTIONS[0], "rewrite")
            assert answer(model, question) == expected[wanted, question]
        model.adapters.close()
        del model
    told = [tokens != expected[(), question] for (wanted, question), tokens in expected.items() if wanted]
    assert sum(told) > 0.9 * len(told)  # four tokens of a half-strength adapter may be the base's own
    assert digest(served.loaded.model) == before
    assert tensor_bytes() == start


def test_an_adapter_shows(served: Served) -> None:
    """Each computes other logits than the base, and than the others."""
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    adapters, seen = Adapters(served.loaded.model), []
    with torch.inference_mode():
        for chosen in ((), *((one,) for one in served.adapters)):
            adapters.activate(chosen)
            seen.append(served.loaded.model(input_ids=ids).logits[0, -1])
        adapters.close()
    for at, one in enumerate(seen):
        assert all(float((one - other).abs().max()) > 1e-3 for other in seen[:at])


def test_it_computes_what_peft_computes(served: Served) -> None:
    """To the bit. PEFT's way is the slow path, put in and taken out; 4-bit weights aren't packed for either."""
    quantization = served.loaded.quantization
    model = load(str(served.folder), Request(quantization, device="cpu", dtype="fp32")).model
    for layer in model.modules():
        layer.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
    ids, adapters, before = torch.tensor([[5, 6, 7, 8, 9]]), Adapters(model), digest(model)
    for one in served.adapters:
        with torch.inference_mode():
            with adapters.using((one,)):
                ours = model(input_ids=ids).logits
            with adapters.using((replace(one, slow=True, fingerprint=f"{one.fingerprint} by peft"),)):
                theirs = model(input_ids=ids).logits
        assert torch.equal(ours, theirs)
    assert digest(model) == before


def test_each_step_has_its_own(served: Served) -> None:
    """What is said of a follow-up is the rewriter's; the answers stay the base's, and neither takes the other's KV cache."""
    plain, other = cold(served, (), QUESTIONS[0]), cold(served, served.adapters[:1], QUESTIONS[0])
    model = LocalModel(served.loaded, decoding=DECODING)
    model.use_adapters({"rewrite": served.adapters[:1]})
    for _ in range(2):
        assert answer(model, QUESTIONS[0], "rewrite") == other
        assert answer(model, QUESTIONS[0]) == plain
    assert model.adapter is None
    assert model.identity["adapter"] == {"rewrite": [[served.adapters[0].fingerprint, 1.0]]}
    model.adapters.close()
