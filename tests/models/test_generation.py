"""Decoding: the same tokens as transformers' own, whatever is reused, guessed, stopped or broken in between."""

import subprocess
import sys
import textwrap
from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from assistant.errors import ModelError
from assistant.models import Decoding
from assistant.models.generation import Decoder, common_prefix

STOP = 1
SIZE: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}
LLAMA_3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 128}  # fmt: skip
PLAIN = Decoding(max_tokens=30, lookup=False, reuse=False)


def llama() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZE, rope_parameters=LLAMA_3)).eval()


def gemma() -> Any:
    """With a window shorter than every prompt here, so that a wrong mask would show."""
    torch.manual_seed(0)
    return Gemma2ForCausalLM(Gemma2Config(**SIZE, sliding_window=16, attn_implementation="eager")).eval()


@pytest.fixture(scope="module", params=[llama, gemma], ids=["llama3", "gemma2"])
def model(request: pytest.FixtureRequest) -> Any:
    return request.param()


def prompts(count: int) -> list[list[int]]:
    """Half of them repeat themselves, so that there is something to look up; every third goes on from the one before."""
    random = torch.Generator().manual_seed(1)
    found: list[list[int]] = []
    for n in range(count):
        ids = torch.randint(2, 64, (20,), generator=random).tolist()
        ids = ids + ids + ids[:9] if n % 2 else ids
        found.append([*found[-1], *ids] if n % 3 == 2 else ids)
    return found


def expected(model: Any, ids: Sequence[int], tokens: int = 30) -> list[int]:
    """What transformers' own ``generate`` writes."""
    tensor = torch.tensor([ids])
    options = {"do_sample": False, "eos_token_id": STOP, "pad_token_id": 0, "attention_mask": torch.ones_like(tensor)}
    written = model.generate(tensor, max_new_tokens=tokens, **options)[0, len(ids) :].tolist()
    return written[: written.index(STOP)] if STOP in written else written


@pytest.mark.parametrize("lookup", [False, True], ids=["plain", "lookup"])
@pytest.mark.parametrize("reuse", [False, True], ids=["afresh", "reuse"])
def test_the_tokens_are_those_of_generate(model: Any, lookup: bool, reuse: bool) -> None:
    decoder, reused, accepted = Decoder(model, [STOP]), 0, 0
    for ids in prompts(15):
        got = list(decoder.stream(ids, Decoding(max_tokens=30, lookup=lookup, reuse=reuse)))
        assert got == expected(model, ids)
        assert decoder.last
        reused, accepted = reused + decoder.last.reused_tokens, accepted + decoder.last.accepted
    assert (reused > 0, accepted > 0) == (reuse, lookup)


def test_it_says_what_an_answer_took(model: Any) -> None:
    decoder, ids = Decoder(model, [STOP]), prompts(1)[0]
    list(decoder.stream(ids, Decoding(max_tokens=5)))
    first = decoder.last
    list(decoder.stream([*ids, 7, 8], Decoding(max_tokens=5)))
    second = decoder.last
    assert first
    assert second
    assert (first.prompt_tokens, first.reused_tokens, first.tokens, first.ended) == (20, 0, 5, "length")
    assert (second.prompt_tokens, second.reused_tokens) == (22, 20)
    assert 0 < first.first_token_s <= first.seconds


def test_it_ends_at_a_stop_token_without_yielding_it(model: Any) -> None:
    ids = prompts(1)[0]
    written = expected(model, ids)
    decoder = Decoder(model, [written[4]])
    assert list(decoder.stream(ids, PLAIN)) == written[: written.index(written[4])]
    assert decoder.last
    assert decoder.last.ended == "stop"


def test_another_scope_reuses_nothing_and_the_first_finds_its_own_again(model: Any) -> None:
    decoder, ids = Decoder(model, [STOP]), prompts(1)[0]
    for scope, reused in (("a", 0), ("a", 19), ("b", 0), ("a", 19), ("c", 0), ("b", 0)):
        list(decoder.stream(ids, Decoding(max_tokens=3), scope=scope))
        assert decoder.last
        assert decoder.last.reused_tokens == reused


def test_a_short_prompt_between_two_turns_costs_nothing_of_the_first(model: Any) -> None:
    decoder, (turn, between, third) = Decoder(model, [STOP]), [[9, 8, *ids] for ids in prompts(20)[6:16:4]]
    for ids, reused in (
        (turn, 0),
        ([5, *between], 0),
        ([*turn, 7], len(turn)),
        ([5, *between, 6], len(between) + 1),
        ([3, *third], 0),
    ):
        assert list(decoder.stream(ids, Decoding(max_tokens=3))) == expected(model, ids, 3)
        assert decoder.last
        assert decoder.last.reused_tokens == reused


def test_an_answer_that_is_closed_leaves_the_next_one_right(model: Any) -> None:
    decoder = Decoder(model, [STOP])
    for ids in [ids for ids in prompts(12) if len(expected(model, ids)) > 4]:
        stream = decoder.stream(ids, Decoding(max_tokens=30))
        assert list(islice(stream, 4)) == expected(model, ids)[:4]
        stream.close()  # type: ignore[attr-defined]
        assert decoder.last
        assert decoder.last.ended == "interrupted"
        assert list(decoder.stream(ids, Decoding(max_tokens=30))) == expected(model, ids)


@pytest.mark.parametrize("layer", [0, 2])
def test_ctrl_c_between_two_layers_leaves_the_next_answer_right(model: Any, layer: int) -> None:
    decoder, ids, calls = Decoder(model, [STOP]), prompts(2)[1], iter(range(100))

    def interrupt(*_: object) -> None:
        if next(calls) == 5:
            raise KeyboardInterrupt

    hook = model.model.layers[layer].self_attn.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(decoder.stream(ids, Decoding(max_tokens=30)))
    hook.remove()
    assert list(decoder.stream([*ids, 9], Decoding(max_tokens=30))) == expected(model, [*ids, 9])


def test_drawing_is_repeatable_and_not_greedy(model: Any) -> None:
    decoder, ids = Decoder(model, [STOP]), prompts(1)[0]
    drawn = [list(decoder.stream(ids, Decoding(max_tokens=20, temperature=1.5, seed=seed))) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] not in (drawn[2], expected(model, ids, 20))


def test_weights_that_compute_nan_are_an_error_and_no_answer() -> None:
    model = llama()
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[3, 3] = float("nan")
    with pytest.raises(ModelError, match="computes NaN"):
        list(Decoder(model, [STOP]).stream(prompts(1)[0], PLAIN))


def test_no_memory_in_the_middle_of_an_answer_says_what_to_lower_and_the_next_answer_works() -> None:
    """In a process of its own, whose memory is really limited."""
    code = """
        import resource, sys
        sys.path[:0] = ["tests", "tests/models"]
        from test_generation import llama, prompts, PLAIN, Decoding, Decoder, ModelError
        decoder = Decoder(llama(), [1])
        list(decoder.stream(prompts(1)[0], PLAIN))
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 64_000_000, resource.RLIM_INFINITY))
        try:
            list(decoder.stream([5] * 200_000, Decoding(max_tokens=5)))
        except ModelError as error:
            print(error.message, "|", error.hint)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(list(decoder.stream(prompts(1)[0], PLAIN)))
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout.startswith("out of memory at 200,000 tokens | lower context"), run.stderr
    assert run.stdout.splitlines()[1] == str(expected(llama(), prompts(1)[0]))


@pytest.mark.parametrize(("a", "b", "same"), [([], [1], 0), ([1, 2, 3], [1, 2, 4], 2), ([1, 2], [1, 2, 3], 2)])
def test_common_prefix(a: list[int], b: list[int], same: int) -> None:
    assert common_prefix(a, b) == same
