"""The one table, in Markdown: a line a row, a column a server.

A cell is `p50 / p99 ms`, hits where they are wrong or of unknown truth, and behind `x` how many times
Mailcask's p50 it took. `!` marks an answer that is not the truth.
"""


def render(mailbox, columns, options):
    ours = next((c for c in columns if c["peer"] == "mailcask"), None)
    lines = [
        f"{mailbox.count} messages, {mailbox.bytes / 1e6:.0f} MB; p50 / p99 in ms over IMAP, one client; "
        f"up to {options.repeat} times or {options.row_seconds:g} s a row; "
        + ("RETURN (COUNT); " if options.count else "plain SEARCH; ")
        + ("cold: new process, page cache emptied" if options.drop_caches else "cold: new process, files still in the page cache"),
        "`!` not the truth; `=n` hits where nobody but a server knows; `xN` times Mailcask's p50",
        "",
        "| | true hits | " + " | ".join(head(c, mailbox) for c in columns) + " |",
        "|---|---|" + "---|" * len(columns),
    ]
    for label in labels(columns):
        truth = next((c["rows"][label].true_hits for c in columns if c["messages"] == mailbox.count
                      and label in c["rows"] and c["rows"][label].true_hits is not None), "")
        cells = [cell(c["rows"].get(label), ours["rows"].get(label) if ours and c is not ours else None,
                      c["messages"] == mailbox.count) for c in columns]
        lines.append(f"| {label} | {truth} | " + " | ".join(cells) + " |")
    for label, figure in FIGURES:
        lines.append(f"| {label} | | " + " | ".join(figure(c) for c in columns) + " |")
    for c in columns:
        lines.append("")
        lines.append(f"{c['peer']}: {c.get('version', '')}; {c['messages']} messages; before the load: {c['machine']}")
        if c.get("failed"):
            lines.append(f"  not measured: {c['failed']}")
        for wrong in c.get("needles", (0, 0, ()))[2]:
            lines.append(f"  wrong: {wrong}")
    return "\n".join(lines)


def head(column, mailbox):
    short = column["messages"] != mailbox.count
    return column["peer"] + (f" ({column['messages']} messages only)" if short else "")


def labels(columns):
    seen = {}
    for column in columns:
        seen.update(dict.fromkeys(column["rows"]))
    return list(seen)


def cell(result, ours, same_mailbox):
    if result is None:
        return ""
    if not result.times_s:
        return result.note or "-"
    text = f"{ms(result.percentile_ms(50))} / {ms(result.percentile_ms(99))}"
    if result.right is False:
        text += f", {result.hits}!"
    elif result.right is None:
        text += f", ={result.hits}"
    if ours is not None and ours.times_s and same_mailbox:
        ratio = result.percentile_ms(50) / ours.percentile_ms(50)
        text += f" x{ratio:.0f}" if ratio >= 9.5 else f" x{ratio:.1f}"
    return text


def ms(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _needles(column):
    right, asked, _ = column.get("needles", (None, None, None))
    return "" if right is None else f"{right} of {asked}"


def _rate(column):
    seconds = column.get("index_s")
    if not seconds:
        return "none" if "load_s" in column else ""
    note = column.get("index_note")
    return f"{column['messages'] / seconds:.0f}" + (f" ({note})" if note else "")


def _share(column):
    if "index_bytes" not in column:
        return ""
    size = f"{column['index_bytes'] / 1e6:.0f}"
    return size + (f" ({column['index_bytes'] / column['text_bytes']:.2f})" if column.get("text_bytes") else "")


def _mib(name):
    return lambda column: f"{column[name] / (1 << 20):.0f}" if column.get(name) else ""


FIGURES = (
    ("needle searches answered exactly", _needles),
    ("load, messages/s", lambda c: f"{c['messages'] / c['load_s']:.0f}" if "load_s" in c else ""),
    ("indexing, messages/s", _rate),
    ("index on disk, MB (of decoded text)", _share),
    ("resident after it all, MiB, all processes", _mib("resident_bytes")),
    ("resident at most while loading, MiB", _mib("peak_bytes")),
)


def plain(column):
    """For JSON."""
    out = dict(column)
    out["rows"] = {label: {"p50_ms": r.percentile_ms(50), "p99_ms": r.percentile_ms(99), "times": len(r.times_s),
                           "hits": r.hits, "right": r.right, "note": r.note}
                   for label, r in column["rows"].items()}
    return out
