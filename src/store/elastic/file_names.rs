//! Names of the indices of files (files.md, "Stored documents"): one pair for each area. Where the names are this fleet's own,
//! the suffix stands between two dots, which no suffix holds, so that no pattern of one fleet fits another's.

use serde_json::{Value, json};

use super::indices::Indices;
use crate::model::FileArea;

/// Which of an area's two indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilePart {
    /// A file a document.
    Meta,
    /// A chunk a document.
    Data,
}

impl FilePart {
    fn word(self) -> &'static str {
        match self {
            FilePart::Meta => "meta",
            FilePart::Data => "data",
        }
    }
}

impl Indices {
    /// One of an area's indices.
    pub(super) fn file_index(&self, area: &FileArea, part: FilePart) -> String {
        match area {
            FileArea::FromHost(source) => format!("{}{source}", self.sent_by_hosts(part)),
            FileArea::ToHost(integration) => format!("{}{integration}", self.for_hosts(part)),
            FileArea::Library(library) => self.of_library(library, part),
        }
    }

    /// Those of files that the tests make.
    #[cfg(test)]
    pub(in crate::store) fn file_names(&self) -> Vec<String> {
        let areas = [
            FileArea::FromHost("endpoint".into()),
            FileArea::ToHost("endpoint".into()),
            FileArea::Library("scripts".into()),
        ];
        let both = |area| [FilePart::Meta, FilePart::Data].map(|part| self.file_index(&area, part));
        areas.into_iter().flat_map(both).collect()
    }

    /// What the names of what agents send begin with.
    pub(super) fn sent_by_hosts(&self, part: FilePart) -> String {
        format!("{}fromhost-{}-", self.file_stem(), part.word())
    }

    /// What the names of what is meant for single agents begin with.
    pub(super) fn for_hosts(&self, part: FilePart) -> String {
        format!("{}tohost-{}-", self.file_stem(), part.word())
    }

    /// That of one library; `*` stands for all.
    pub(super) fn of_library(&self, library: &str, part: FilePart) -> String {
        // the service account may write to none of Endpoint's
        if self.are_own() {
            format!("{}library-{}-{library}", self.file_stem(), part.word())
        } else {
            format!(".endpoint-fleetfiles-{library}-{}", part.word())
        }
    }

    /// The library of an index that a search named.
    pub(super) fn library_of(&self, index: &str) -> Option<String> {
        let all = self.of_library("*", FilePart::Meta);
        let (before, behind) = all.split_once('*')?;
        index.strip_prefix(before)?.strip_suffix(behind).map(str::to_owned)
    }

    fn file_stem(&self) -> String {
        if self.are_own() {
            format!(".fleet-fileds.{}.", self.namespace())
        } else {
            ".fleet-fileds-".to_owned()
        }
    }

    /// The integration of an index that a search named; a data stream's index has a date and a number behind its name.
    pub(super) fn integration_of(&self, index: &str) -> Option<String> {
        let backing = index.strip_prefix(".ds-");
        let rest = backing.unwrap_or(index).strip_prefix(&self.for_hosts(FilePart::Meta))?;
        let parts = rest.rsplitn(3, '-').collect::<Vec<_>>();
        match (backing, parts.as_slice()) {
            (Some(_), [_, _, integration]) => Some((*integration).to_owned()),
            _ => Some(rest.to_owned()),
        }
    }
}

/// Settings and mapping of an index of files that we make, where the cluster has no template for one.
pub(super) fn file_definition(part: FilePart) -> Value {
    let keyword = json!({"type": "keyword", "ignore_above": 8191});
    let unsearched = |kind: &str| json!({"type": kind, "index": false});
    let properties = match part {
        FilePart::Meta => json!({
            "@timestamp": {"type": "date"},
            "upload_start": {"type": "date"},
            "agent_id": keyword,
            "action_id": keyword,
            "upload_id": keyword,
            "source": keyword,
            "namespaces": keyword,
            "file": {"properties": {
                "Status": keyword,
                "name": keyword,
                "Compression": keyword,
                "ChunkSize": {"type": "integer"},
                "Meta": {"properties": {"target_agents": keyword}},
            }},
        }),
        FilePart::Data => json!({
            "@timestamp": {"type": "date"},
            "bid": keyword,
            "sha2": unsearched("keyword"),
            "last": unsearched("boolean"),
            "data": {"type": "binary"},
        }),
    };
    json!({
        "settings": {"index": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": true}},
        "mappings": {"dynamic": false, "properties": properties},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_names_are_those_of_the_protocol() {
        let usual = Indices::default();
        let name = |area: FileArea, part| usual.file_index(&area, part);
        let from = FileArea::FromHost("endpoint".into());
        assert_eq!(name(from.clone(), FilePart::Meta), ".fleet-fileds-fromhost-meta-endpoint");
        assert_eq!(name(from, FilePart::Data), ".fleet-fileds-fromhost-data-endpoint");
        assert_eq!(name(FileArea::ToHost("x".into()), FilePart::Data), ".fleet-fileds-tohost-data-x");
        assert_eq!(name(FileArea::Library("l".into()), FilePart::Meta), ".endpoint-fleetfiles-l-meta");
        let own = Indices::with_suffix("west").unwrap();
        assert_eq!(
            own.file_index(&FileArea::ToHost("x".into()), FilePart::Meta),
            ".fleet-fileds.west.tohost-meta-x"
        );
    }

    #[test]
    fn the_library_is_what_stands_where_the_pattern_has_its_star() {
        for indices in [Indices::default(), Indices::with_suffix("west").unwrap()] {
            let index = indices.file_index(&FileArea::Library("my-meta".into()), FilePart::Meta);
            assert_eq!(indices.library_of(&index).as_deref(), Some("my-meta"));
            assert_eq!(
                indices.library_of(&indices.file_index(&FileArea::ToHost("x".into()), FilePart::Meta)),
                None
            );
        }
    }

    #[test]
    fn the_integration_is_what_a_name_ends_in_but_for_a_data_stream_s_date_and_number() {
        let usual = Indices::default();
        let of = |index: &str| usual.integration_of(index);
        assert_eq!(of(".fleet-fileds-tohost-meta-a-b").as_deref(), Some("a-b"));
        assert_eq!(of(".ds-.fleet-fileds-tohost-meta-a-b-2026.01.02-000001").as_deref(), Some("a-b"));
        assert_eq!(of(".ds-.fleet-fileds-fromhost-meta-a-2026.01.02-000001"), None);
    }
}
