"""What reaches the terminal, and what never does."""

import io
import json
import re

import pytest
from fakes import a_citation, a_hit, an_abstention, an_answer

from assistant.errors import DocumentError
from assistant.records import Sentence
from assistant.rendering.answers import (
    file_uri,
    location,
    render_answer,
    render_citation,
    render_error,
    render_hits,
    render_sources,
    snippet,
)
from assistant.rendering.documents import answer_document, dump, search_document
from assistant.rendering.screen import Screen
from assistant.rendering.terminal import Terminal, describe, sanitize
from assistant.settings import Settings

PLAIN = Terminal(interactive=False, width=80, colour=False, links=False, unicode=True)
LINKED = Terminal(interactive=True, width=80, colour=True, links=True, unicode=True)

ATTACKS = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "hyperlink": "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "c1": "\x9b31m\x9d0;x\x9c",
    "back": "good\x08\x08\x08\x08evil",
    "carriage": "good\revil",
    "bidi": "a\u202egnp.exe\u2066\u2069\u200f",
    "tags": "x\U000e0041\U000e007f",
    "lone surrogate": "a\udc9bb",
    "nul and delete": "a\0b\x7f",
}
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]")


class Stream(io.StringIO):
    """A stream that says whether it is a terminal, and in which encoding."""

    def __init__(self, *, terminal: bool = True, encoding: str = "utf-8") -> None:
        super().__init__()
        self._terminal, self._encoding = terminal, encoding

    def isatty(self) -> bool:
        return self._terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def printed(lines: object, *, width: int = 40, terminal: bool = True) -> list[str]:
    stream = Stream(terminal=terminal)
    settings = Settings(home=None, width=width, color="never", links="never")  # type: ignore[arg-type]
    Screen(settings, out=stream, err=stream).show(lines)  # type: ignore[arg-type]
    return [re.sub(r"\x1b\[[\d;]*m", "", line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@pytest.mark.parametrize("one_line", [True, False])
def test_nothing_that_a_terminal_obeys_survives(attack: str, one_line: bool) -> None:
    assert not OBEYED.search(sanitize(attack, one_line=one_line))


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_part_of_an_answer_lets_an_attack_through(attack: str) -> None:
    citation = a_citation(source=f"{attack}.md", quote=attack, heading=(attack,), lines=None, path=f"/d/{attack}")
    answer = an_answer(attack, citations=(citation,))
    refused = an_abstention(nearest=(citation,))
    hit = a_hit(source=attack, text=attack, path=f"/d/{attack}")
    for lines in (
        render_answer(answer, PLAIN),
        render_sources(answer, PLAIN),
        render_answer(refused, PLAIN),
        render_hits([hit], PLAIN),
    ):
        for text in lines:
            assert not OBEYED.search(text.plain)
    assert not OBEYED.search(render_error(DocumentError(attack, hint=attack)).replace("\n", ""))
    assert not OBEYED.search(dump(answer_document(answer)))


def test_links_are_percent_encoded_so_that_a_path_cannot_end_them() -> None:
    text = render_citation(a_citation(path="/d/\x1b\\\n\u202e x.md", source="x.md"), LINKED)
    stream = Stream()
    Screen(Settings(home=None, links="always"), out=stream).show([text])  # type: ignore[arg-type]
    assert "file:///d/%1B%5C%0A%E2%80%AE%20x.md#L12" in stream.getvalue()


def test_scripts_and_emoji_stay_whole() -> None:
    for text in ("தமிழ் உரை", "क्‍ष", "👩‍👩‍👧", "naïve café", "日本語"):
        assert sanitize(text) == text
        assert sanitize(text, one_line=True) == text


def test_a_newline_in_a_name_is_shown_and_does_not_break_the_line() -> None:
    assert location(a_citation(source="a\nb\t.md")) == "a␊b␉.md:12-14"


@pytest.mark.parametrize(
    ("citation", "place"),
    [
        (a_citation(), "guide/setup.md:12-14"),
        (a_citation(lines=(7, 7)), "guide/setup.md:7"),
        (a_citation(source="handbook.pdf", lines=None, page=3), "handbook.pdf p.3"),
        (a_citation(source="file.docx", lines=None, heading=("Title", "Heading")), "file.docx § Heading"),
        (a_citation(source="file.eml", lines=None), "file.eml"),
    ],
)
def test_location_names_lines_page_or_section(citation: object, place: str) -> None:
    assert location(citation) == place  # type: ignore[arg-type]


def test_an_answer_is_followed_by_its_citations() -> None:
    answer = an_answer(
        "It sleeps 24. [1] Dogs stay out. [2]", citations=(a_citation(), a_citation(2, "rules.pdf", lines=None, page=2))
    )
    assert printed(render_answer(answer, PLAIN), width=80) == [
        "It sleeps 24. [1] Dogs stay out. [2]",
        "",
        "[1] guide/setup.md:12-14",
        "[2] rules.pdf p.2",
    ]


def test_a_stale_citation_says_so() -> None:
    assert render_citation(a_citation(stale=True), PLAIN).plain == "[1] guide/setup.md:12-14 (changed since indexing)"


def test_an_abstention_shows_what_came_nearest() -> None:
    assert printed(render_answer(an_abstention(), PLAIN)) == [
        "Not in these documents.",
        "",
        "Nearest passages:",
        "[1] guide/setup.md:12-14",
        "    The hut sleeps 24.",
    ]


def test_an_interrupted_answer_keeps_its_text_and_says_so() -> None:
    answer = an_answer("The hut", status="interrupted", citations=())
    assert printed(render_answer(answer, PLAIN)) == ["The hut", "(interrupted)"]


def test_narrow_terminals_wrap_at_words_and_keep_the_indent() -> None:
    quote = "one two three four five six seven eight nine ten eleven twelve"
    lines = printed(render_sources(an_answer(citations=(a_citation(quote=quote),)), PLAIN), width=30)
    assert lines[1:] == ["    one two three four five", "    six seven eight nine ten", "    eleven twelve"]


def test_a_pipe_gets_whole_lines() -> None:
    text = "word " * 60
    assert printed(render_answer(an_answer(text, citations=()), PLAIN), terminal=False, width=20) == [text.strip()]


def test_hits_show_rank_place_score_section_and_beginning() -> None:
    assert printed(render_hits([a_hit(), a_hit(2, "b.md", "x " * 300)], PLAIN), width=400)[:4] == [
        " 1 guide/setup.md:12-14  0.90",
        "    Huts > Mirrin",
        "    The hut sleeps 24.",
        " 2 b.md:12-14  0.90",
    ]


def test_a_snippet_ends_at_a_word_and_cuts_scripts_without_spaces() -> None:
    assert snippet("aa bb cc", 6) == "aa bb …"
    assert snippet("日本語日本語日本語", 3) == "日本語 …"
    assert snippet("a\n  b") == "a b"


def test_an_error_is_two_lines_whatever_is_in_it() -> None:
    assert render_error(DocumentError("no\nsuch 'a\nb'", hint="try\nthis")) == "error: no such 'a b'\nhint: try this"


def test_file_uris_name_line_or_page() -> None:
    assert file_uri("/a b/ü.md", (12, 14)) == "file:///a%20b/%C3%BC.md#L12"
    assert file_uri("/x.pdf", None, 3) == "file:///x.pdf#page=3"
    assert file_uri("/x.docx") == "file:///x.docx"


@pytest.mark.parametrize(
    ("environ", "links"),
    [
        ({"TERM": "xterm"}, False),
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "6800"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "4800"}, False),
        ({"TERM_PROGRAM": "vscode"}, True),
        ({"TERM_PROGRAM": "Apple_Terminal"}, False),
        ({"TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.3a"}, False),
        ({"TERM_PROGRAM": "tmux", "TERM_PROGRAM_VERSION": "3.4"}, True),
        ({"TERM": "dumb", "VTE_VERSION": "6800"}, False),
    ],
)
def test_links_only_where_they_are_known_to_work(environ: dict[str, str], links: bool) -> None:
    assert describe(Stream(), environ=environ).links is links
    assert describe(Stream(terminal=False), environ=environ).links is False


def test_no_color_is_respected_and_always_overrides_a_pipe() -> None:
    assert describe(Stream(), environ={"TERM": "xterm"}).colour is True
    assert describe(Stream(), environ={"TERM": "xterm", "NO_COLOR": "1"}).colour is False
    assert describe(Stream(terminal=False), colour="always", environ={}).colour is True


@pytest.mark.parametrize(("encoding", "unicode"), [("utf-8", True), ("UTF8", True), ("ascii", False), ("cp1252", False)])
def test_the_streams_encoding_is_noticed(encoding: str, unicode: bool) -> None:
    assert describe(Stream(encoding=encoding), environ={}).unicode is unicode


def test_ask_json_has_exactly_the_keys_of_the_contract() -> None:
    answer = an_answer(sentences=(Sentence("The hut sleeps 24.", "supported", (1,)),))
    assert json.loads(dump(answer_document(answer))) == {
        "schema": 1,
        "question": "How many people sleep there?",
        "rewritten": None,
        "answer": "The hut sleeps 24. [1]",
        "status": "answered",
        "index": ["default"],
        "model": "extractive",
        "adapter": None,
        "citations": [
            {
                "marker": 1,
                "source": "guide/setup.md",
                "page": None,
                "lines": [12, 14],
                "quote": "The hut sleeps 24.",
                "passage_id": "p1",
                "stale": False,
            }
        ],
        "nearest": [],
        "sentences": [{"text": "The hut sleeps 24.", "verdict": "supported", "markers": [1]}],
        "cached": False,
        "cached_question": None,
        "similarity": None,
        "timings_ms": {"start": 1.0, "cache": 0.0, "search": 2.0, "first_token": None, "total": 3.0},
    }


def test_search_json_has_exactly_the_keys_of_the_contract() -> None:
    assert json.loads(dump(search_document("hut?", ["default"], [a_hit()]))) == {
        "schema": 1,
        "query": "hut?",
        "index": ["default"],
        "hits": [
            {
                "rank": 1,
                "score": 0.9,
                "index": "default",
                "passage_id": "p1",
                "document_id": "d1",
                "source": "guide/setup.md",
                "page": None,
                "lines": [12, 14],
                "text": "The hut sleeps 24.",
            }
        ],
    }


def test_json_is_one_line_and_says_the_same_whatever_the_encoding() -> None:
    document = {"schema": 1, "text": 'é\n"\u202e\x9b\udc80日'}
    for ascii_only in (True, False):
        line = dump(document, ascii_only=ascii_only)
        assert "\n" not in line
        line.encode("ascii" if ascii_only else "utf-8")
        assert json.loads(line) == document


def test_a_preview_is_wiped_away_and_never_written_into_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.rendering.screen.PREVIEW_AFTER_S", -1.0)
    for terminal in (True, False):
        stream = Stream(terminal=terminal)
        screen = Screen(Settings(home=None, width=40), out=stream)  # type: ignore[arg-type]
        with screen.preview() as show:
            show("half \x1b[31m")
            show("an answer")
        assert ("half [31man answer" in stream.getvalue()) is terminal
