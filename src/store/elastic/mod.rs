//! The store in an Elasticsearch cluster (elasticsearch.md). Nothing outside knows ureq, or a query.

mod client;
