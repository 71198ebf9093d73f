"""Text that is read as it is: Markdown, reStructuredText, delimited rows, source code, logs."""

import re

from indexes.decoding import decode
from indexes.formats import Extracted

_DECLARED = re.compile(rb"""\A\s*<\?xml[^>]{0,200}\bencoding\s*=\s*["']([A-Za-z0-9_.:-]+)""")


def extract(data: bytes) -> Extracted:
    """Read a text file line by line."""
    declared = _DECLARED.match(data)
    return Extracted((decode(data, declared=declared[1].decode("ascii") if declared else None),), has_lines=True)
