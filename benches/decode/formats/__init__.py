"""The formats that are measured, a file each: who adds one enters it here."""

from benches.decode.formats import csv_text, json_lines

FORMS = {**json_lines.FORMS, **csv_text.FORMS}
