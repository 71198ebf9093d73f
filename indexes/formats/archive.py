"""Opens the zip archive that an office document or a book is, after a look at what it would unpack to."""

import io
import zipfile

from lxml import etree

from indexes.errors import UnreadableFile

# A document of 64 MiB holds mostly pictures, which don't shrink; a zip bomb unpacks to gigabytes.
MAX_UNPACKED_BYTES = 512 * 1024 * 1024
# XML shrinks up to some 100 times. Under 32 MiB nothing is too large to unpack, whatever its ratio.
_MAX_RATIO = 250
_HARMLESS_BYTES = 32 * 1024 * 1024
_OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")  # what Office wrote before 2007, and wraps locked documents in
_LOCKED_STREAM = "EncryptedPackage".encode("utf-16-le")


def open_archive(data: bytes) -> zipfile.ZipFile:
    """Open a zip archive that is safe to unpack.

    Raises:
        UnreadableFile: locked with a password, in the format before 2007, or unpacks to far more than a document holds.
        zipfile.BadZipFile: no zip archive, or damaged.
    """
    if data.startswith(_OLE_MAGIC):
        raise UnreadableFile("locked with a password" if _LOCKED_STREAM in data else "in the Office format before 2007")
    archive = zipfile.ZipFile(io.BytesIO(data))
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > MAX_UNPACKED_BYTES or (unpacked > _HARMLESS_BYTES and unpacked > _MAX_RATIO * len(data)):
        raise UnreadableFile(f"would unpack to {unpacked / 2**20:,.0f} MiB, far more than a document holds")
    if any(entry.flag_bits & 1 for entry in archive.infolist()):
        raise UnreadableFile("locked with a password")
    return archive


def parse_xml(data: bytes) -> etree._Element:
    """Parse XML without entities, external files or the network."""
    return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, recover=True))


def core_title(archive: zipfile.ZipFile) -> str:
    """The title in the properties of a Word, Excel or PowerPoint file, or ``""``."""
    if "docProps/core.xml" not in archive.namelist():
        return ""
    root = parse_xml(archive.read("docProps/core.xml"))
    return (root.findtext("{http://purl.org/dc/elements/1.1/}title") or "").strip() if root is not None else ""
