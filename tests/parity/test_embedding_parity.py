"""The exported model says what sentence-transformers says, through whatever batches its texts go."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexes import embedding, export
from indexes.embedding import OnnxEmbedder
from indexes.errors import UsageError
from indexes.export import ensure_exported, load_embedder
from indexes.records import Document
from indexes.splitting import SplitSettings, split

TEXTS = [
    "",
    "a",
    "What is the capital of France?",
    "Größe, naïveté — 東京 🙂 \u200b zero width",
    "one line\nanother line\ttab",
    "word " * 100,
    "long text " * 400,
    *[f"sentence number {n} about " + "something " * n for n in range(40)],
]


@pytest.fixture(scope="module")
def embedder(exported_models: Path) -> OnnxEmbedder:
    return load_embedder("all-MiniLM-L6-v2", exported_models)


@pytest.fixture(scope="module")
def reference() -> np.ndarray:  # type: ignore[type-arg]
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(embedding.model_folder("all-MiniLM-L6-v2")), device="cpu")
    return np.asarray(model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False))


def test_vectors_equal_those_of_sentence_transformers(embedder: OnnxEmbedder, reference: "np.ndarray[tuple[int, int]]") -> None:
    cosines = (embedder.embed(TEXTS) * reference).sum(axis=1)
    assert cosines.min() >= 0.9999


def test_the_installed_weights_are_the_published_ones(embedder: OnnxEmbedder) -> None:
    assert embedder.weights_hash.startswith("53aa5117")
    assert embedder.weights_hash.endswith("28d9db")


def test_vectors_have_unit_norm_and_dont_depend_on_company(embedder: OnnxEmbedder) -> None:
    together = embedder.embed(TEXTS)
    alone = np.vstack([embedder.embed([text]) for text in TEXTS])
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-5
    assert (together * alone).sum(axis=1).min() > 0.99999
    assert embedder.embed([]).shape == (0, 384)


def test_no_passage_is_over_the_limit_of_the_model(embedder: OnnxEmbedder) -> None:
    text = "# A heading – mit Ümläuten\n\n" + "\n\n".join(
        "antidisestablishmentarianism 3.14159 f(x)=y; " * n for n in range(1, 80)
    )
    document = Document("a.md", text, "markdown", title="A long title " * 20)
    passages = split(document, "doc", embedder.token_spans, SplitSettings(max_tokens=embedder.max_tokens))
    longest = max(len(embedder.token_spans(passage.embedded_text)) for passage in passages)
    assert 150 < longest <= embedder.max_tokens == 254


def test_an_export_is_made_once_and_again_when_its_file_is_gone(exported_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    ensure_exported("all-MiniLM-L6-v2", exported_models, announce=said.append)
    assert said == []
    known = json.loads((exported_models / "known.json").read_text())["all-MiniLM-L6-v2"]
    monkeypatch.setattr(export, "_export_in_subprocess", lambda _model, _folder: known["hash"])
    monkeypatch.setattr(export, "_is_whole", lambda _models, _hash: False)
    ensure_exported("all-MiniLM-L6-v2", exported_models, announce=said.append)
    assert said == ["exporting the embedding model all-MiniLM-L6-v2 (once, some seconds)"]


@pytest.mark.parametrize("damage", ["[]", "null", '{"all-MiniLM-L6-v2": 5}', "{", '{"all-MiniLM-L6-v2": {}}'])
def test_a_damaged_list_of_exports_is_as_none(tmp_path: Path, damage: str) -> None:
    (tmp_path / "known.json").write_text(damage)
    assert export._known_hash("all-MiniLM-L6-v2", tmp_path / "known.json") is None
    export._remember("all-MiniLM-L6-v2", "abc", tmp_path / "known.json")
    assert export._known_hash("all-MiniLM-L6-v2", tmp_path / "known.json") == "abc"


@pytest.mark.parametrize("suffix", [".onnx", ".tokenizer.json", ".json"])
def test_a_damaged_export_is_made_again(
    exported_models: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in exported_models.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights_hash = ensure_exported("all-MiniLM-L6-v2", tmp_path)
    (tmp_path / f"{weights_hash}{suffix}").write_bytes(b"damaged")

    def make_again(_model: str, models: Path) -> str:
        for file in exported_models.glob(f"{weights_hash}*"):
            (models / file.name).write_bytes(file.read_bytes())
        return weights_hash

    monkeypatch.setattr(export, "_export_in_subprocess", make_again)
    assert load_embedder("all-MiniLM-L6-v2", tmp_path).embed(["a"]).shape == (1, 384)


def test_a_model_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't export the embedding model 'no/such-model'"):
        ensure_exported("no/such-model", tmp_path)


def test_a_folder_without_safetensors_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="safetensors"):
        embedding.hash_weights(tmp_path)


def test_querying_imports_no_torch(exported_models: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from indexes.export import load_embedder; "
        f"load_embedder('all-MiniLM-L6-v2', Path({str(exported_models)!r})).embed(['a']); "
        "print([m for m in ('torch', 'transformers', 'sentence_transformers', 'onnx') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
