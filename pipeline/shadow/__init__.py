"""A pipeline beside a Logstash that is still in charge: the same records, our documents, held against those it wrote.

Records are read without the group, so that nothing moves. `making` makes our documents, `keys` says how two documents
of the same event are found, `differences` compares them field by field, `comparison` keeps the count: all pure.
`shelf` holds Logstash's documents in a temporary file, `their_documents` reads them, `run` puts it together, and
`report` writes the result.
"""

from pipeline.shadow.comparison import Parity
from pipeline.shadow.run import Window, shadow

__all__ = ["Parity", "Window", "shadow"]
