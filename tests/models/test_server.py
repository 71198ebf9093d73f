"""Talking to an OpenAI-compatible server that behaves: names, requests, budgets, cancelling."""

import time

import pytest
from loopback_server import CHAT, PROMPT, Exchange, LoopbackServer, Opened, as_json, refuses, says

from assistant.errors import ModelError
from assistant.models import Decoding, LanguageModel
from assistant.models.server_address import read_address
from assistant.models.server_budget import OLLAMA_CONTEXT, estimate
from assistant.prompt import without_system
from assistant.records import Message


def test_it_streams_what_the_server_writes(open_model: Opened) -> None:
    model: LanguageModel = open_model()
    assert list(model.stream(PROMPT)) == ["It sleeps", " 24. [1]"]
    assert model.last is not None
    assert (model.last.tokens, model.last.ended) == (2, "stop")
    assert 0 < model.last.first_token_s <= model.last.seconds


def test_the_request_holds_what_the_api_needs(server: LoopbackServer, open_model: Opened) -> None:
    list(open_model(decoding=Decoding(max_tokens=77)).stream(PROMPT))
    [sent] = server.sent_to(CHAT)
    assert sent.body == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How many sleep there?"}],
        "max_tokens": 77,
        "temperature": 0.0,
        "stream": True,
    }


def test_a_seed_and_top_p_go_along_where_tokens_are_drawn(server: LoopbackServer, open_model: Opened) -> None:
    list(open_model(decoding=Decoding(temperature=0.7, top_p=0.9, seed=5)).stream(PROMPT))
    sent = server.sent_to(CHAT)[0].body
    assert (sent["temperature"], sent["top_p"], sent["seed"]) == (0.7, 0.9, 5)


def test_the_headers_tell_nothing_of_this_machine(
    server: LoopbackServer, open_model: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "ORG_ID": "org-1",
        "PROJECT_ID": "p-1",
        "CUSTOM_HEADERS": "X-Extra: 1",
        "ADMIN_KEY": "a",
        "API_KEY": "b",
    }.items():
        monkeypatch.setenv(f"OPENAI_{name}", value)
    list(open_model().stream(PROMPT))
    for _, exchange in server.requests:
        needed = {"host", "accept", "accept-encoding", "connection", "content-type", "content-length", "user-agent"}
        assert set(exchange.headers) <= needed
        assert exchange.headers["user-agent"] == "assistant"


def test_a_proxy_that_is_set_is_not_asked_for_this_machine(open_model: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert "".join(open_model().stream(PROMPT)) == "It sleeps 24. [1]"


@pytest.mark.parametrize(
    "reasoning",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"content": None},
        {"role": "assistant", "content": ""},
        {"content": ["?"]},
    ],
)
def test_what_a_model_thinks_is_not_its_answer(server: LoopbackServer, open_model: Opened, reasoning: dict[str, object]) -> None:
    def thinks(exchange: Exchange) -> None:
        exchange.start()
        exchange.event(choices=[{"delta": reasoning}])
        exchange.event(choices=[])
        exchange.write(": still here\n\n")
        exchange.piece("24.")
        exchange.finish()

    server.chats(thinks)
    assert list(open_model().stream(PROMPT)) == ["24."]


def test_lines_are_divided_at_line_feeds_alone(server: LoopbackServer, open_model: Opened) -> None:
    def writes(exchange: Exchange) -> None:
        exchange.start()
        exchange.write('event: message\r\ndata: {"choices":[{"delta":{"content":"a\u2028b\u0085c"}}]}\r\n\r\n')
        exchange.write("data: [DONE]\n\n")

    server.chats(writes)
    assert list(open_model().stream(PROMPT)) == ["a\u2028b\u0085c"]


def test_a_cut_answer_is_marked(server: LoopbackServer, open_model: Opened) -> None:
    server.chats(says("It sl", reason="length"))
    model = open_model()
    assert list(model.stream(PROMPT)) == ["It sl"]
    assert model.last is not None
    assert model.last.ended == "length"


def test_the_server_s_own_count_is_believed(server: LoopbackServer, open_model: Opened) -> None:
    def counts(exchange: Exchange) -> None:
        exchange.start()
        exchange.piece("It sleeps 24.")
        usage = {"prompt_tokens": 31, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 16}}
        exchange.event(choices=[{"delta": {}, "finish_reason": "stop"}], usage=usage)

    server.chats(counts)
    model = open_model()
    list(model.stream(PROMPT))
    assert model.last is not None
    assert (model.last.prompt_tokens, model.last.tokens, model.last.reused_tokens) == (31, 6, 16)


def test_closing_closes_the_connection_at_once(server: LoopbackServer, open_model: Opened) -> None:
    def endless(exchange: Exchange) -> None:
        exchange.start()
        exchange.piece("It ")
        exchange.stall()

    server.chats(endless)
    model = open_model()
    pieces = model.stream(PROMPT)
    assert next(pieces) == "It "
    before = time.monotonic()
    pieces.close()  # type: ignore[attr-defined]
    assert server.gone.wait(1.0)
    assert time.monotonic() - before < 0.3
    assert model.last is not None
    assert model.last.ended == "interrupted"


# ---- names


def test_the_only_model_needs_no_name(server: LoopbackServer, open_model: Opened) -> None:
    server.lists({"id": "base", "max_model_len": 4096}, {"id": "mine", "parent": "base"})
    assert open_model().name == "base"


def test_a_name_is_not_asked_for_when_it_is_known(server: LoopbackServer, open_model: Opened) -> None:
    assert open_model(model="tiny").name == "tiny"
    assert not server.requests


@pytest.mark.parametrize(
    ("listed", "model", "message", "hint"),
    [
        (["a", "b"], None, r"has 2 models: 'a', 'b'", r"--model a"),
        ([], None, r"doesn't list its models", r"--model NAME"),
        (["llama3", "gemma"], "Llama3", r"no model 'Llama3'; it lists 'llama3', 'gemma'", "did you mean --model llama3"),
        (["gemma"], "qwen", r"no model 'qwen'", r"--model gemma, or load 'qwen'"),
        ([f"m{n}" for n in range(20)], None, r"'m7' and 12 more", "--model m0"),
    ],
)  # fmt: skip
def test_a_model_that_is_not_there(
    server: LoopbackServer, open_model: Opened, listed: list[str], model: str | None, message: str, hint: str
) -> None:
    server.lists(*listed)
    with pytest.raises(ModelError, match=message) as caught:
        list(open_model(model=model).stream(PROMPT))
    assert hint in caught.value.hint
    assert not server.sent_to(CHAT)


def test_ollama_s_latest_needs_no_tag(server: LoopbackServer, open_model: Opened) -> None:
    server.lists("llama3:latest", "gemma2:9b")
    list(open_model(model="llama3").stream(PROMPT))
    assert server.sent_to(CHAT)[0].body["model"] == "llama3:latest"


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_without_a_list_is_believed(server: LoopbackServer, open_model: Opened, status: int) -> None:
    server.on("/v1/models", refuses(status))
    list(open_model(model="anything").stream(PROMPT))
    assert server.sent_to(CHAT)[0].body["model"] == "anything"


def test_an_adapter_is_a_model_in_the_request(server: LoopbackServer, open_model: Opened) -> None:
    server.lists("base", "other", {"id": "mine", "parent": "base"})
    model = open_model(adapter="mine")
    list(model.stream(PROMPT))
    assert server.sent_to(CHAT)[0].body["model"] == "mine"
    assert open_model(model="base", adapter="mine").name == "base"


def test_an_adapter_must_be_listed(server: LoopbackServer, open_model: Opened) -> None:
    server.lists("base")
    with pytest.raises(ModelError, match=r"has no adapter 'mine'; it lists no adapters") as caught:
        list(open_model(adapter="mine").stream(PROMPT))
    assert caught.value.exit_code == 5
    assert "--lora-modules mine=" in caught.value.hint


# ---- budgets


def by_vllm(exchange: Exchange) -> None:
    words = sum(len(message["content"].split()) for message in exchange.body["messages"])
    as_json({"count": words, "max_model_len": 1000, "tokens": [0] * words})(exchange)


def by_llama_cpp(exchange: Exchange) -> None:
    as_json({"tokens": list(range(len(exchange.body["content"].split())))})(exchange)


def test_vllm_says_its_context_and_counts(server: LoopbackServer, open_model: Opened) -> None:
    server.lists({"id": "tiny", "max_model_len": 1000})
    server.on("/tokenize", by_vllm)
    budget = open_model().budget
    assert budget.tokens == 600
    assert budget.count([Message("user", "word " * 500)]) == 500
    assert server.sent_to("/tokenize")[-1].body["model"] == "tiny"


def test_llama_cpp_says_its_context_and_counts(server: LoopbackServer, open_model: Opened) -> None:
    server.on("/props", as_json({"default_generation_settings": {"n_ctx": 900}}))
    server.on("/apply-template", as_json({"prompt": "one two three four"}))
    server.on("/tokenize", by_llama_cpp)
    budget = open_model().budget
    assert budget.tokens == 500
    assert budget.count([Message("user", "word " * 400)]) == 4


def test_counting_starts_where_it_could_matter(server: LoopbackServer, open_model: Opened) -> None:
    server.lists({"id": "tiny", "max_model_len": 8192})
    server.on("/tokenize", by_vllm)
    budget = open_model().budget
    asked = len(server.requests)
    budget.count([Message("user", "short")])
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("the hut", 1 + 1),  # a word begins with the space before it
        ("accommodation", 5),  # three letters a token
        ("in 1921.", 1 + 4 + 1),  # digits and signs stand alone
        ("HTTP", 3),
        ("a\n\n\n\nb", 1 + 2 + 1),
        ("今天", 5),  # six bytes, three quarters of a token each
        ("x" * 100, 50),  # nothing that could be a word
    ],
)
def test_the_estimate_by_hand(text: str, tokens: int) -> None:
    nothing = estimate([Message("user", "")])
    assert estimate([Message("user", text)]) == nothing + tokens


def test_a_counter_that_breaks_down_is_replaced_by_the_estimate(server: LoopbackServer, open_model: Opened) -> None:
    server.lists({"id": "tiny", "max_model_len": 1000})
    server.on("/tokenize", by_vllm, refuses(500))
    messages = [Message("user", "word " * 500)]
    assert open_model().budget.count(messages) == estimate(messages)


def test_ollama_cuts_silently_so_its_default_is_the_limit(server: LoopbackServer, open_model: Opened) -> None:
    server.on("/api/ps", as_json({"models": []}))
    assert open_model().budget.tokens == OLLAMA_CONTEXT - 400
    server.on("/api/ps", as_json({"models": [{"name": "tiny", "context_length": 2048}]}))
    assert open_model().budget.tokens == 2048 - 400


def test_a_server_that_says_nothing_has_the_context_of_the_settings(open_model: Opened) -> None:
    assert open_model(context=3000).budget.tokens == 2600


def test_a_context_without_room_for_a_prompt(server: LoopbackServer, open_model: Opened) -> None:
    server.lists({"id": "tiny", "max_model_len": 448})
    with pytest.raises(ModelError, match=r"context of 448 tokens, of which an answer may take 400") as caught:
        _ = open_model().budget
    assert "ASSISTANT_MAX_TOKENS" in caught.value.hint


@pytest.mark.parametrize(
    ("refusal", "learned"),
    [
        ({"message": "This model's maximum context length is 2000 tokens. However, you requested 5000.", "code": 400}, 2000),
        ({"message": "request (9 tokens) exceeds the available context size (1500 tokens)", "n_ctx": 1500}, 1500),
        ({"message": "too long", "type": "exceed_context_size_error", "n_ctx": 1600}, 1600),
        ({"message": "prompt is too long", "code": "context_length_exceeded"}, 6144),
        ({"message": "maximum context length is 8192 tokens"}, 6144),
    ],
)
def test_a_prompt_that_was_too_long_teaches_the_limit(
    server: LoopbackServer, open_model: Opened, refusal: dict[str, object], learned: int
) -> None:
    server.chats(as_json({"error": refusal}, status=400))
    model = open_model()
    with pytest.raises(ModelError, match="longer than the model's context") as caught:
        list(model.stream(PROMPT))
    assert model.budget.tokens == learned - 400
    assert str(learned - 400) in caught.value.hint


def test_a_template_without_system_role_gets_its_text_in_the_question(server: LoopbackServer, open_model: Opened) -> None:
    server.chats(refuses(400, "System role not supported"), says("24."))
    model = open_model()
    assert list(model.stream(PROMPT)) == ["24."]
    assert list(model.stream(PROMPT)) == ["24."]
    folded = [{"role": "user", "content": "Be brief.\n\nHow many sleep there?"}]
    assert [exchange.body["messages"] for exchange in server.sent_to(CHAT)[1:]] == [folded, folded]


def test_gemma_2_is_known_by_its_name(server: LoopbackServer, open_model: Opened) -> None:
    server.lists("google/gemma-2-9b-it")
    list(open_model().stream(PROMPT))
    assert [message["role"] for message in server.sent_to(CHAT)[0].body["messages"]] == ["user"]


def test_the_system_text_goes_to_the_first_question_alone() -> None:
    turns = [Message("system", "S"), Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    assert without_system(turns) == [Message("user", "S\n\na"), Message("assistant", "b"), Message("user", "c")]


def test_parameters_that_a_provider_no_longer_takes(server: LoopbackServer, open_model: Opened) -> None:
    server.chats(
        refuses(400, "use max_completion_tokens", param="max_tokens", code="unsupported_parameter"),
        refuses(400, "only the default (1)", param="temperature", code="unsupported_value"),
        says("24."),
    )
    assert list(open_model().stream(PROMPT)) == ["24."]
    assert set(server.sent_to(CHAT)[-1].body) == {"model", "messages", "max_completion_tokens", "stream"}


# ---- the address


@pytest.mark.parametrize(
    ("url", "base", "root"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1", "http://localhost:8000"),
        (" http://localhost:8000/v1/ ", "http://localhost:8000/v1", "http://localhost:8000"),
        ("http://localhost:8000//v1/chat/completions", "http://localhost:8000/v1", "http://localhost:8000"),
        ("https://api.groq.com/openai", "https://api.groq.com/openai/v1", "https://api.groq.com/openai"),
        ("https://g.example/v1beta/openai/", "https://g.example/v1beta/openai", "https://g.example/v1beta/openai"),
        ("http://localhost:0", "http://localhost:0/v1", "http://localhost:0"),
        ("http://[::1]:8080/v1/models", "http://[::1]:8080/v1", "http://[::1]:8080"),
    ],
)
def test_an_address_as_people_write_it(url: str, base: str, root: str) -> None:
    address = read_address(url)
    assert (address.base, address.root) == (base, root)


@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("localhost:8000", "doesn't begin with http", "--server http://localhost:8000"),
        ("", "'' doesn't begin with http", "--server http://localhost"),
        ("http://hos t", "goes on after 'http://hos'", "--server http"),
        ("ftp://host/v1", "must be http or https", "--server http"),
        ("http://", "must be http or https", "--server http"),
        ("http://host:99999/v1", "can't be read: Port out of range", "--server http"),
        ("http://host/v1?api_key=secret", "goes on after 'http://host/v1' with a '\\?'", "--server http"),
        ("http://me:secret@host/v1", "'host' holds a user name or a password", "ASSISTANT_API_KEY"),
        ("me:secret@host/v1", "'host' holds a user name or a password", "ASSISTANT_API_KEY"),
    ],
)
def test_an_address_that_is_none(url: str, message: str, hint: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_address(url)
    assert hint in caught.value.hint
    assert "secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("url", "private"), [("http://127.0.0.2/v1", True), ("https://far.example", True), ("http://far.example", False)]
)
def test_who_can_listen_on_the_way(url: str, private: bool) -> None:
    assert read_address(url).private is private


def test_what_a_model_thinks_first_is_no_part_of_its_answer(server: LoopbackServer, open_model: Opened) -> None:
    server.chats(says("<thi", "nk>24? Yes.", "</think>\n\nIt sleeps", " 24. [1]"))
    assert "".join(open_model().stream(PROMPT)) == "It sleeps 24. [1]"
