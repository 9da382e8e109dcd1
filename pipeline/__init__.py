"""A log pipeline from Kafka to Elasticsearch that can prove it lost nothing."""
