//! A policy of a given size, in the format of a standalone `elastic-agent.yml`; with what an agent's key for the output may
//! do, which a server on Elasticsearch needs.

use std::fmt::Write;

const HEAD: &str = "\
outputs:
  default:
    type: elasticsearch
    hosts: [\"http://localhost:9200\"]
output_permissions:
  default:
    swarm:
      cluster: [monitor]
      indices:
        - names: [metrics-*-*]
          privileges: [auto_configure, create_doc]
agent:
  monitoring:
    enabled: false
inputs:
";

/// At least `bytes` of YAML. `mark` is in it, so that two marks are two revisions. The inputs vary as real ones
/// do: a text that repeats itself would compress better than any policy.
pub(crate) fn policy(bytes: usize, mark: u64) -> String {
    let mut text = HEAD.to_owned();
    let mut number = 0_u64;
    while text.len() < bytes {
        let hash = mix(number);
        let (dataset, period) = (format!("swarm.{hash:016x}"), 10 + hash % 50);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "  - id: input-{number:04}\n    type: system/metrics\n    use_output: default\n    \
             data_stream: {{namespace: default}}\n    streams:\n      - id: stream-{:08x}\n        \
             data_stream: {{dataset: {dataset}, type: metrics}}\n        metricsets: [cpu]\n        \
             period: {period}s\n        tags: [\"mark-{mark}\", \"{:012x}\"]\n",
            hash >> 32,
            mix(hash) >> 16
        );
        number += 1;
    }
    text
}

/// A number that looks random, from splitmix64's published constants.
fn mix(number: u64) -> u64 {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}
