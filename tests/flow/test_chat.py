"""The chat as a person at a terminal meets it: a real pseudo-terminal, real keys."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_server import Exchange, loopback_server
from terminal import ALT_ENTER, CTRL_C, ENTER, Terminal
from test_commands import one_document, run


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "club.md").write_text("# Club\n\nThe club was founded in 1921 by Ada Brandt.\n", encoding="utf-8")
    (folder / "keys.md").write_text("The spare keys of the boat house lie in the green box.\n", encoding="utf-8")
    return folder


@pytest.fixture
def chat(ready_home: Path, docs: Path) -> Iterator[Terminal]:
    assert run("index", str(docs)).returncode == 0
    terminal = Terminal("chat")
    terminal.wait("Ctrl-D leaves")
    yield terminal
    assert "Traceback" not in terminal.shown
    terminal.end()


def test_a_conversation(chat: Terminal) -> None:
    assert "default: 2 documents, 2 passages\nanswers by extractive: the default, no model is set\n" in chat.shown
    chat.enter("Who founded the club?")
    assert "founded in 1921 by Ada Brandt. [1]\n\n[1] club.md:3\n" in chat.wait(r"club.md:3\n")
    chat.enter("/sources")
    chat.wait(r"\[1\] club.md:3\n    The club was founded in 1921 by Ada Brandt.\n")
    chat.enter("/search boat")
    chat.wait(r" 1 keys.md:1 ")
    chat.enter("/serch x")
    chat.wait(r"error: there is no command '/serch'\nhint: did you mean /search\?")
    assert chat.leave() == 0


def test_ctrl_c_clears_the_line_and_at_an_empty_prompt_keeps_the_chat(chat: Terminal) -> None:
    chat.enter("Who founded nonsense" + CTRL_C + "/help")
    chat.wait(r"Ctrl-C +stop an answer \(the part is kept\), or clear the line\n")
    assert "error" not in chat.shown
    chat.wait(">")
    chat.type(CTRL_C)
    chat.wait(r"\(Ctrl-D leaves\)")
    chat.enter("/quit")
    assert chat.exit_code() == 0


def test_several_lines_are_one_question(chat: Terminal) -> None:
    chat.enter("Who founded" + ALT_ENTER + "the" + ALT_ENTER + "club?")
    chat.wait("club.md:3")
    assert chat.shown.count("club.md:3") == 1


def test_the_history_is_kept_for_the_next_chat_and_is_private(chat: Terminal, ready_home: Path) -> None:
    chat.enter("Who founded the club?")
    chat.wait("Ada Brandt")
    assert chat.leave() == 0
    assert (ready_home / "history").stat().st_mode & 0o077 == 0
    again = Terminal()
    again.wait("Ctrl-D leaves")
    again.enter("\x1b[A")
    again.wait("Ada Brandt")
    again.end()


def test_changed_files_are_announced_and_index_refreshes(chat: Terminal, docs: Path) -> None:
    assert chat.leave() == 0
    (docs / "sauna.md").write_text("The sauna is heated on Fridays.\n", encoding="utf-8")
    (docs / "club.md").write_text("The club was founded in 1921 by Ada Brandt. Indeed.\n", encoding="utf-8")
    later = Terminal()
    later.wait("2 files changed since indexing: /index to refresh")
    later.enter("/index")
    later.wait(r"3 documents, 3 passages .*\n  1 added · 1 changed · 1 unchanged")
    later.enter("When is the sauna heated?")
    later.wait("Fridays")
    later.end()


def test_open_calls_the_editor_at_the_line(ready_home: Path, docs: Path, tmp_path: Path) -> None:
    assert run("index", str(docs)).returncode == 0
    editor = tmp_path / "vim"
    editor.write_text('#!/bin/sh\necho "EDITOR $@"\n', encoding="utf-8")
    editor.chmod(0o755)
    terminal = Terminal(env={"VISUAL": str(editor)})
    terminal.wait("Ctrl-D leaves")
    terminal.enter("Who founded the club?")
    terminal.wait("club.md:3")
    terminal.enter("/open 1")
    terminal.wait(rf"EDITOR \+3 {docs}/club.md")
    terminal.enter("/open 9")
    terminal.wait(r"hint: /open takes one of: 1")
    terminal.end()


def test_without_an_index_it_offers_to_build_one(ready_home: Path, docs: Path) -> None:
    terminal = Terminal(columns=40)
    terminal.wait("folder:")
    terminal.type(str(docs) + ENTER)
    terminal.wait("2 documents, 2 passages")
    terminal.enter("Who founded the club?")
    terminal.wait("Ada\n?[ ]?Brandt")
    terminal.end()


def test_without_an_index_enter_alone_leaves(home: Path) -> None:
    terminal = Terminal()
    terminal.wait("folder:")
    terminal.type(ENTER)
    assert terminal.exit_code() == 0
    assert not (home / "indexes").exists()
    terminal.end()


def test_a_pasted_book_and_stray_bytes_are_survived(chat: Terminal) -> None:
    chat.enter("\x1b[200~" + "Who founded the club? " * 400 + "\x1b[201~")
    chat.wait(r"\[1\] |Not in these")
    chat.wait(">")
    os.write(chat.fd, b"\xff\xfe\x80 who?" + ENTER.encode())
    chat.enter("Who founded the club?")
    chat.wait(r"founded in 1921 by Ada Brandt. \[1\]")


def test_deleting_asks_and_no_keeps_the_index(chat: Terminal) -> None:
    terminal = Terminal("indexes", "delete", "default")
    terminal.wait(r"Delete the index 'default'\?")
    terminal.type("n" + ENTER)
    terminal.wait("Nothing was deleted")
    assert terminal.exit_code() == 0
    assert run("indexes", "check", "default").returncode == 0
    terminal.end()


def test_a_conversation_is_left_and_taken_up_again(chat: Terminal, ready_home: Path) -> None:
    chat.enter("Who founded the club?")
    chat.wait(r"club.md:3\n")
    chat.enter("When was it founded?")
    chat.wait(r"searching for: When was the club founded\?\n+(.*\n)?The club was founded in 1921 by Ada Brandt. \[1\]\n")
    chat.enter("/regenerate")
    chat.wait("word for word the same: extractive answers the same prompt alike")
    chat.enter("/good")
    chat.wait("noted: good")
    assert chat.leave() == 0
    again = Terminal("chat", "--resume")
    again.wait(r"resumed \w{4}: Who founded the club\? \(2 turns, .*\)\n\n> When was it founded\?\nsearching for: .*\nThe club")
    again.enter("/why")
    again.wait(r"judged +the passages hold the answer")
    again.enter("/edit")
    again.wait(r"> When was it founded\?")
    again.type("\x15Where do the spare keys lie?" + ENTER)
    again.wait("green box")
    assert again.leave() == 0
    again.end()
    (session,) = one_document(run("history", "--json").stdout)["sessions"]  # type: ignore[misc]
    turns = one_document(run("history", "show", session["id"], "--json").stdout)["turns"]  # type: ignore[index]
    assert [turn["question"] for turn in turns] == ["Who founded the club?", "Where do the spare keys lie?"]  # type: ignore[attr-defined]
    judged = json.loads((ready_home / "feedback.jsonl").read_text())
    assert (judged["kind"], judged["question"]) == ("good", "When was it founded?")


def test_ctrl_c_keeps_what_was_written_in_the_history(ready_home: Path, docs: Path) -> None:
    def slowly(exchange: Exchange) -> None:
        exchange.start()
        exchange.piece("The club was founded in 1921 by Ada Brandt. [1] Then")
        exchange.stall()

    assert run("index", str(docs)).returncode == 0
    with loopback_server() as server:
        server.lists("slow")
        server.chats(slowly)
        terminal = Terminal("chat", "--server", f"{server.url}/v1", "--model", "slow")
        terminal.enter("Who founded the club?")
        terminal.wait("Ada Brandt. .* Then")
        terminal.type(CTRL_C)
        terminal.wait(r"\(interrupted\)\n")
        assert server.gone.wait(5)
        assert terminal.leave() == 0
        terminal.end()
    shown = run("history").stdout
    assert re.search(r"^  \w{4}  .* 1 turn .* Who founded the club\?  default, slow$", shown, re.MULTILINE)
    turns = run("history", "show", shown.split()[0]).stdout
    assert re.search(r"> Who founded the club\?\nThe club was founded in 1921 by Ada Brandt\..*\[1\].*\n\(interrupted\)\n", turns)


def test_a_block_is_typed_line_by_line(chat: Terminal) -> None:
    chat.enter(":::" + ENTER + "Who founded" + ENTER + "the club?" + ENTER + ":::")
    chat.wait("club.md:3")
    chat.enter("/sessions")
    chat.wait(r"\* \w{4}  .*1 turn .*Who founded the club\?")


def test_a_damaged_history_is_said_once_and_the_chat_goes_on(ready_home: Path, chat: Terminal) -> None:
    (ready_home / "conversations.sqlite").write_bytes(b"no database " * 500)
    for _ in range(2):
        chat.enter("Who founded the club?")
        chat.wait(r"club.md:3\n")
    assert chat.leave() == 0
    assert re.sub(r"\s+", " ", chat.shown).count("The chat goes on unsaved") == 1
    assert "2 turns of this chat could not be saved" in chat.shown
    assert (ready_home / "conversations.sqlite").read_bytes() == b"no database " * 500
