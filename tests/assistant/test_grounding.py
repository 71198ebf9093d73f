"""Grounding: the right sentence first, and an honest no. An embedder that counts words stands in for the real one."""

import hashlib
import json

import numpy as np
import pytest

from assistant.grounding.calibration import FILE, Linear, load_calibration
from assistant.grounding.evidence import SENTENCE_FEATURES, kind_match, likeness, list_candidates
from assistant.grounding.ground import BUDGET_TOKENS, CHARACTERS_PER_TOKEN, ground, rarity, weigh, within_budget
from assistant.grounding.support import ANSWER_FEATURES, has_antonym, without
from assistant.language.questions import read_question, stem, words_of
from indexes.records import Hit, Passage


class BagEmbedder:
    """Vectors of hashed stems: two texts are as near as they share words."""

    model_id, weights_hash, dimension, max_tokens = "bag", "0", 256, 254

    def __init__(self):
        self.texts = []

    def embed(self, texts):
        self.texts += texts
        vectors = np.full((len(texts), self.dimension), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in stem(words_of(text)):
                vectors[row, int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.dimension] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def token_spans(self, text):
        return []


def hits_of(*texts, heading=("Guide",), kind="text", header=""):
    passages = [Passage(f"p{n}", "d", n, text, heading, header, kind, 0, len(text), None, None) for n, text in enumerate(texts)]
    return [Hit(one, "guide.md", "/guide.md", "i", n, 1 / n, 0.5, 1.0) for n, one in enumerate(passages, 1)]


def asked(question, hits, embedder=None):
    embedder = embedder or BagEmbedder()
    vector = embedder.embed([question])[0]
    return ground(question, vector, hits, embedder, lambda words: dict.fromkeys(words, 3), 200)


TEXTS = (
    "The sauna of the hut costs 9 euros a person. It holds six people. Wood is behind the sauna.",
    "Dogs sleep in the cellar. The warden is Davit Orsolan. The hut was built in 1911.",
)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How much does the sauna cost?", "The sauna of the hut costs 9 euros a person."),
        ("Who is the warden?", "The warden is Davit Orsolan."),
        ("In which year was the hut built?", "The hut was built in 1911."),
    ],
)
def test_the_sentence_that_answers_comes_first(question, answer):
    assert asked(question, hits_of(*TEXTS)).evidence[0].text == answer


def test_evidence_is_ordered_literal_and_shares_one():
    evidence = asked("How much does the sauna cost?", hits_of(*TEXTS)).evidence
    scores = [one.score for one in evidence]
    assert scores == sorted(scores, reverse=True)
    assert 0.9 < sum(scores) <= 1.0  # of all sentences; those behind a closed gate are left out
    assert all(one.quote == one.text for one in evidence)


def test_what_is_not_there_is_less_probable_than_what_is():
    there = asked("How much does the sauna cost?", hits_of(*TEXTS)).probability
    near = asked("How much does the motorcycle parking cost?", hits_of(*TEXTS)).probability
    off = asked("Which planet has the most moons?", hits_of(*TEXTS)).probability
    assert there > near > off


@pytest.mark.parametrize("question", ["", "What is it?", "?!", "\n"])
def test_a_question_without_content_is_refused(question):
    grounding = asked(question, hits_of(*TEXTS))
    assert not grounding.answerable
    assert grounding.evidence == ()


def test_no_hits_are_refused():
    assert not asked("How much does the sauna cost?", []).answerable


def test_the_same_question_gives_the_same_grounding():
    first, second = (asked("Who is the warden?", hits_of(*TEXTS)) for _ in range(2))
    assert first == second


def test_nothing_is_embedded_twice():
    embedder = BagEmbedder()
    asked("Who is the warden of the hut?", hits_of(*TEXTS), embedder)
    assert len(embedder.texts) == len(set(embedder.texts))


def test_a_row_is_found_by_its_cells():
    hits = hits_of("Sauna,9 euros\nShower,3 euros", kind="table", header="item,price")
    assert asked("What is the price of the shower?", hits).evidence[0].text == "Shower: price 3 euros"


def test_the_budget_keeps_the_promising_sentences_in_order():
    filler = " ".join(f"Filler number {n} says nothing of any use to anybody at all." for n in range(200))
    candidates = list_candidates(hits_of(filler + " The sauna costs 9 euros."))
    kept = within_budget(read_question("How much does the sauna cost?", {}), candidates)
    assert "The sauna costs 9 euros." in [one.unit.text for one in kept]
    assert sum(len(one.unit.text) for one in kept) / CHARACTERS_PER_TOKEN <= BUDGET_TOKENS
    assert [one.place for one in kept] == sorted(one.place for one in kept)


def test_rarity_doesnt_depend_on_size_for_an_absent_word():
    counts = {"hut": 40, "yeti": 0}
    small = rarity(["hut", "yeti"], lambda words: counts, 100)
    large = rarity(["hut", "yeti"], lambda words: counts, 100_000)
    assert small["yeti"] == large["yeti"] == 1.0
    assert 0 < small["hut"] < large["hut"] < 1


def test_features_are_finite_and_as_many_as_their_names():
    embedder = BagEmbedder()
    weighed = weigh("Who?? is warden", embedder.embed(["x"])[0], hits_of(*TEXTS), embedder, lambda w: dict.fromkeys(w, 0), 0)
    assert weighed.features.shape[1] == len(SENTENCE_FEATURES)
    assert np.isfinite(weighed.features).all()
    assert set(asked("Who is the warden?", hits_of(*TEXTS)).features) == set(ANSWER_FEATURES)


@pytest.mark.parametrize(
    ("question", "text", "match"),
    [
        ("Who is the warden?", "The warden is Davit Orsolan.", 1),
        ("Who is the warden?", "The warden has a dog.", -1),
        ("Who leads Dorn?", "At Dorn there is a leader.", -1),
        ("How many dogs are there in 2019?", "In 2019 there were dogs.", -1),
        ("In which year did it open?", "It opened on a Monday.", -1),
        ("Which hut is it?", "It is a hut.", 0),
    ],
)
def test_the_kind_of_answer_must_be_new(question, text, match):
    assert kind_match(read_question(question, {}), text) == match


def test_words_are_alike_from_four_common_letters_on():
    assert likeness("religi", frozenset(["religious"])) == pytest.approx(6 / 9)
    assert likeness("car", frozenset(["carpet"])) == 0.0
    assert likeness("hut", frozenset(["hut"])) == 1.0


def test_leaving_a_word_out_takes_its_possessive_with_it():
    assert without("What is Matteo's dog's name?", "matteo") == "What is dog's name?"


def test_the_opposite_word_is_noticed():
    (candidate,) = list_candidates(hits_of("The summer fee is 5 euros."))
    assert has_antonym(read_question("What is the winter fee?", {}), candidate)
    assert not has_antonym(read_question("What is the summer fee?", {}), candidate)


def test_the_calibration_fits_the_features():
    calibration = load_calibration()
    assert calibration.sentence.names == SENTENCE_FEATURES
    assert calibration.answerable.names == ANSWER_FEATURES
    assert 0 < calibration.threshold < 1
    assert set(json.loads(FILE.read_text())["fitted"]) >= {
        "date",
        "data",
        "script",
        "articles_held_out",
        "questions",
        "out_of_fold",
    }


def test_a_linear_model_survives_its_file():
    model = Linear(("a", "b"), np.array([0.0, 1.0]), np.array([1.0, 2.0]), np.array([0.5, -1.0]), 0.25)
    again = Linear.read(json.loads(json.dumps(model.write())))
    assert again(np.array([[2.0, 3.0]])) == pytest.approx([0.5 * 2 - 1.0 + 0.25])
