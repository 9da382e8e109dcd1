"""The conservation proof: what Kafka holds, held against Elasticsearch and the dead letters, record by record.

Both sides are read in the order of the offsets, partition by partition, and joined as they come: the memory
taken does not depend on their number.
"""

from pipeline.audit.proof import audit
from pipeline.audit.result import AuditResult, Finding, PartitionAudit, Range, Unread

__all__ = ["AuditResult", "Finding", "PartitionAudit", "Range", "Unread", "audit"]
