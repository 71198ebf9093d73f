"""JSON lines: one record per line."""

from indexes.formats.json_values import extract_lines as extract

__all__ = ["extract"]
