"""The formats that are measured, a file each: who adds one enters it here."""

from benches.decode.formats import arrow_ipc, csv_text, json_lines, mds, parquet, tfrecord, webdataset

FORMS = {
    **json_lines.FORMS,
    **csv_text.FORMS,
    **parquet.FORMS,
    **arrow_ipc.FORMS,
    **tfrecord.FORMS,
    **webdataset.FORMS,
    **mds.FORMS,
}
