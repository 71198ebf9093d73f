"""One module per kind of document: each has ``extract(data: bytes) -> Extracted`` and knows nothing of files.

Each imports its library at the top; ``indexes.reading`` imports a module only when a file needs it. Failures of a library
leave as they are: ``indexes.reading`` turns every one of them into an UnreadableFile.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a document says, not yet cleaned.

    Attributes:
        parts: its pages where it has pages, else the one text.
        title: its own title (metadata), or ``""``.
        paged: whether the parts are pages.
        has_lines: whether line n of the text is line n of the file.
    """

    parts: tuple[str, ...]
    title: str = ""
    paged: bool = False
    has_lines: bool = False
