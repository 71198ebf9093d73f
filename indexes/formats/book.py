"""EPUB → Markdown: the chapters in the order of the spine.

Read as what it is, XHTML in a zip archive: EbookLib is under the AGPL, and llama-index's reader takes the chapters in the
order of the manifest.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote

from lxml import etree

from indexes.errors import UnreadableFile
from indexes.formats import Extracted, webpage
from indexes.formats.archive import open_archive, parse_xml
from indexes.formats.markdown import join_blocks

_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"


def extract(data: bytes) -> Extracted:
    """Read a book."""
    archive = open_archive(data)
    container = parse_xml(archive.read("META-INF/container.xml"))
    package_name = next(container.iter("{*}rootfile")).get("full-path", "")
    package = parse_xml(archive.read(package_name))
    chapters = [webpage.extract(archive.read(name)).parts[0] for name in _spine(archive, package, package_name)]
    if not any(chapters) and "META-INF/encryption.xml" in archive.namelist():
        raise UnreadableFile("locked by copy protection")
    return Extracted((join_blocks(chapters),), (package.findtext(f".//{_DC}title") or "").strip())


def _spine(archive: zipfile.ZipFile, package: etree._Element, package_name: str) -> Iterator[str]:
    """The chapters' names in the archive, without the table of contents and what is missing."""
    manifest = {item.get("id"): item for item in package.iter(f"{_OPF}item")}
    present = set(archive.namelist())
    for reference in package.iter(f"{_OPF}itemref"):
        item = manifest.get(reference.get("idref"))
        if item is None or "nav" in item.get("properties", "").split() or "html" not in item.get("media-type", ""):
            continue
        name = posixpath.normpath(posixpath.join(posixpath.dirname(package_name), unquote(item.get("href", ""))))
        if name in present:
            yield name
