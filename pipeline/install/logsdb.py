"""What Elasticsearch's index mode for logs gives, by the cluster's licence."""

__all__ = ["logsdb_note"]

# Synthetic `_source` is a feature of these (elastic.co/subscriptions).
_WITH_SYNTHETIC_SOURCE = frozenset({"enterprise", "trial"})


def logsdb_note(licence: str | None) -> str:
    """Say what `index.storage = logsdb` does on a cluster of this licence; None is one that is not told."""
    cost = "index.storage = logsdb takes about a quarter more of Elasticsearch's CPU"
    if licence is None:
        return (
            f"{cost}. This server does not tell its licence: without one for synthetic _source Elasticsearch keeps the "
            "original _source, and little room is saved"
        )
    if licence not in _WITH_SYNTHETIC_SOURCE:
        return (
            f"{cost}, and this cluster's licence is {licence}: without one for synthetic _source (enterprise) "
            "Elasticsearch keeps the original _source, and little room is saved. index.storage = standard is the "
            "better choice here"
        )
    end = ". When the trial ends, new indices keep the original _source" if licence == "trial" else ""
    return f"{cost}; _source is put together from the fields when it is read (licence: {licence}){end}"
