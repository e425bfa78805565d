//! Files in chunks.

use super::*;
use crate::model::file::{hex, sha256};
use crate::model::{Bytes, Chunk, File, FileArea, FileKey, FileStatus, NewChunk, NewFile};
use crate::store::{FileList, FileQuery};

on_every_store! {
    a_file_is_found_by_what_its_sender_names_it,
    chunks_are_listed_by_number_and_read_as_they_came,
    a_chunk_put_again_replaces_the_first,
    a_chunk_that_took_the_place_of_another_is_not_read_for_it,
    a_file_begun_again_loses_its_chunks_and_one_that_is_whole_stays,
    a_file_that_fails_loses_its_chunks,
    a_file_that_is_closed_is_not_ended_again,
    a_file_for_agents_is_found_by_those_it_names_once_it_is_whole,
    a_library_s_file_is_found_by_its_key,
    a_deleted_file_is_gone_with_its_chunks,
    files_of_an_agent_are_listed_the_newest_first,
    uploads_that_nobody_brought_to_their_end_are_ended_after_a_day;

    only_ours:
    a_chunk_of_a_file_that_takes_none_is_refused,
    uploads_go_after_their_time,
}

fn key(id: &str) -> FileKey {
    FileKey { area: FileArea::FromHost("endpoint".into()), id: id.into() }
}

fn begin_at(fixture: &Fixture, key: &FileKey, upload_id: &str, at: Timestamp) -> StoreResult {
    let document = serde_json::json!({
        "agent_id": "a", "action_id": "x", "src": "endpoint", "upload_id": upload_id,
        "upload_start": at.0, "@timestamp": at.0,
        "file": {"name": "n", "mime_type": "text/plain", "size": 7, "Status": "AWAITING_UPLOAD",
            "ChunkSize": 4, "Meta": {"target_agents": ["a", "b"]}},
    });
    let new = NewFile { key: key.clone(), upload_id: upload_id.into(), document: raw(&document) };
    fixture.ask(Operation::BeginFile(Box::new(new)))
}

fn begin(fixture: &Fixture, key: &FileKey, upload_id: &str) {
    let answer = begin_at(fixture, key, upload_id, NOW);
    assert!(matches!(answer, Ok(Answer::Done)), "{answer:?}");
}

fn put(key: &FileKey, upload_id: &str, number: u64, data: &[u8]) -> Operation {
    Operation::PutChunk(Box::new(NewChunk {
        file: key.clone(),
        upload_id: upload_id.into(),
        number,
        last: number == 1,
        sha2: hex(&sha256(data)),
        at: NOW,
        data: Bytes(data.to_vec()),
    }))
}

fn end(key: &FileKey, upload_id: &str, status: FileStatus) -> Operation {
    Operation::EndFile {
        file: key.clone(),
        upload_id: upload_id.into(),
        status,
        transit_sha256: Some("hash".into()),
    }
}

fn find(fixture: &Fixture, query: FileQuery) -> Option<File> {
    match fixture.ask(Operation::FindFile(query)) {
        Ok(Answer::File(file)) => file.map(|file| *file),
        other => panic!("{other:?}"),
    }
}

fn upload(fixture: &Fixture, upload_id: &str) -> Option<File> {
    find(fixture, FileQuery::Upload(upload_id.into()))
}

fn chunks(fixture: &Fixture, key: &FileKey) -> Vec<Chunk> {
    match fixture.ask(Operation::FileChunks { file: key.clone(), with_sizes: true }) {
        Ok(Answer::Chunks(chunks)) => chunks,
        other => panic!("{other:?}"),
    }
}

fn read(fixture: &Fixture, key: &FileKey, chunk: &Chunk) -> Vec<u8> {
    match fixture.ask(Operation::ReadChunk { file: key.clone(), chunk: Box::new(chunk.clone()) }) {
        Ok(Answer::Bytes(data)) => data.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn a_file_is_found_by_what_its_sender_names_it(fixture: &Fixture) {
    assert!(upload(fixture, "u").is_none());
    begin(fixture, &key("x.a"), "u");
    let file = upload(fixture, "u").unwrap();
    assert_eq!((&file.key, file.status, file.bytes), (&key("x.a"), FileStatus::Awaiting, Some(7)));
    assert_eq!((file.started, file.agent_id.as_str(), file.action_id.as_str()), (NOW, "a", "x"));
    fixture.done(end(&key("x.a"), "u", FileStatus::Ready));
    let file = upload(fixture, "u").unwrap();
    assert_eq!((file.status, file.transit_sha256.as_deref()), (FileStatus::Ready, Some("hash")));
    assert_eq!(find(fixture, FileQuery::Sent("x.a".into())).map(|file| file.upload_id), Some("u".into()));
    assert!(find(fixture, FileQuery::Sent("x".into())).is_none());
}

fn chunks_are_listed_by_number_and_read_as_they_came(fixture: &Fixture) {
    begin(fixture, &key("x.a"), "u");
    begin(fixture, &key("x.b"), "v");
    let large: Vec<u8> = (0..700_000).map(|at| (at % 249) as u8).collect();
    for (number, data) in [(10, &b"ten"[..]), (1, &large), (0, b""), (2, b"two")] {
        fixture.done(put(&key("x.a"), "u", number, data));
    }
    let all = chunks(fixture, &key("x.a"));
    assert_eq!(all.iter().map(|chunk| chunk.number).collect::<Vec<_>>(), [0, 1, 2, 10]);
    assert_eq!(all.iter().map(|chunk| chunk.last).collect::<Vec<_>>(), [false, true, false, false]);
    assert_eq!(all.iter().map(|chunk| chunk.bytes).collect::<Vec<_>>(), [0, 700_000, 3, 3].map(Some));
    assert_eq!(all[2].sha2, hex(&sha256(b"two")));
    assert!(read(fixture, &key("x.a"), &all[1]) == large);
    assert_eq!(read(fixture, &key("x.a"), &all[0]), b"");
    assert!(chunks(fixture, &key("x.b")).is_empty() && chunks(fixture, &key("unknown")).is_empty());
    let unknown =
        Operation::ReadChunk { file: key("x.a"), chunk: Box::new(Chunk { number: 3, ..all[0].clone() }) };
    assert_eq!(fixture.error(unknown), StoreError::NotFound);
}

fn a_chunk_put_again_replaces_the_first(fixture: &Fixture) {
    begin(fixture, &key("x.a"), "u");
    for data in [&b"one"[..], b"one", b"other"] {
        fixture.done(put(&key("x.a"), "u", 0, data));
        let all = chunks(fixture, &key("x.a"));
        assert_eq!((all.len(), read(fixture, &key("x.a"), &all[0])), (1, data.to_vec()));
    }
}

fn a_chunk_that_took_the_place_of_another_is_not_read_for_it(fixture: &Fixture) {
    begin(fixture, &key("x.a"), "u");
    fixture.done(put(&key("x.a"), "u", 0, b"one"));
    let listed = match fixture.ask(Operation::FileChunks { file: key("x.a"), with_sizes: false }) {
        Ok(Answer::Chunks(chunks)) => chunks,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(fixture, &key("x.a"), &listed[0]), b"one");
    fixture.done(Operation::DeleteFile(key("x.a")));
    begin(fixture, &key("x.a"), "v");
    fixture.done(put(&key("x.a"), "v", 0, b"two"));
    let before = Operation::ReadChunk { file: key("x.a"), chunk: Box::new(listed[0].clone()) };
    assert_eq!(fixture.error(before), StoreError::NotFound);
}

fn a_file_begun_again_loses_its_chunks_and_one_that_is_whole_stays(fixture: &Fixture) {
    begin(fixture, &key("x.a"), "u");
    fixture.done(put(&key("x.a"), "u", 0, b"one"));
    begin(fixture, &key("x.a"), "v");
    assert!(upload(fixture, "u").is_none() && chunks(fixture, &key("x.a")).is_empty());
    fixture.done(put(&key("x.a"), "v", 0, b"two"));
    fixture.done(end(&key("x.a"), "v", FileStatus::Ready));
    assert_eq!(begin_at(fixture, &key("x.a"), "w", NOW).unwrap_err(), StoreError::Conflict);
    assert_eq!(chunks(fixture, &key("x.a")).len(), 1);
}

fn a_file_that_fails_loses_its_chunks(fixture: &Fixture) {
    begin(fixture, &key("x.a"), "u");
    begin(fixture, &key("x.b"), "v");
    for number in 0..9 {
        fixture.done(put(&key("x.a"), "u", number, b"data"));
    }
    fixture.done(put(&key("x.b"), "v", 0, b"data"));
    fixture.done(end(&key("x.a"), "u", FileStatus::Failed));
    assert_eq!(upload(fixture, "u").unwrap().status, FileStatus::Failed);
    assert_eq!((chunks(fixture, &key("x.a")).len(), chunks(fixture, &key("x.b")).len()), (0, 1));
}

fn a_file_that_is_closed_is_not_ended_again(fixture: &Fixture) {
    begin(fixture, &key("x.a"), "u");
    assert_eq!(fixture.error(end(&key("x.a"), "other", FileStatus::Ready)), StoreError::NotFound);
    fixture.done(end(&key("x.a"), "u", FileStatus::Ready));
    assert_eq!(fixture.error(end(&key("x.a"), "u", FileStatus::Failed)), StoreError::NotFound);
    assert_eq!(fixture.error(end(&key("unknown"), "u", FileStatus::Ready)), StoreError::NotFound);
}

fn a_file_for_agents_is_found_by_those_it_names_once_it_is_whole(fixture: &Fixture) {
    let key = FileKey { area: FileArea::ToHost("endpoint".into()), id: "f".into() };
    let wanted = |agent: &str| find(fixture, FileQuery::ForAgent { id: "f".into(), agent: agent.into() });
    begin(fixture, &key, "u");
    assert!(wanted("a").is_none());
    fixture.done(put(&key, "u", 0, b"data"));
    fixture.done(end(&key, "u", FileStatus::Ready));
    assert_eq!(wanted("b").map(|file| file.key), Some(key.clone()));
    assert!(wanted("c").is_none() && upload(fixture, "u").is_none());
    assert!(find(fixture, FileQuery::ForAgent { id: "g".into(), agent: "a".into() }).is_none());
    let all = chunks(fixture, &key);
    assert_eq!(read(fixture, &key, &all[0]), b"data");
    assert_eq!(to_agents(fixture), [key]);
}

fn to_agents(fixture: &Fixture) -> Vec<FileKey> {
    match fixture.ask(Operation::Files(FileList::ToAgents)) {
        Ok(Answer::Files(files)) => files.into_iter().map(|file| file.key).collect(),
        other => panic!("{other:?}"),
    }
}

fn a_library_s_file_is_found_by_its_key(fixture: &Fixture) {
    let key = FileKey { area: FileArea::Library("scripts".into()), id: "f".into() };
    begin(fixture, &key, "u");
    fixture.done(put(&key, "u", 0, b"data"));
    assert_eq!(find(fixture, FileQuery::Key(key.clone())).map(|file| file.key), Some(key.clone()));
    let elsewhere = FileKey { area: FileArea::Library("other".into()), id: "f".into() };
    assert!(find(fixture, FileQuery::Key(elsewhere)).is_none());
    assert_eq!(chunks(fixture, &key).len(), 1);
    assert_eq!(to_agents(fixture), [key]);
}

fn a_deleted_file_is_gone_with_its_chunks(fixture: &Fixture) {
    begin(fixture, &key("x.a"), "u");
    fixture.done(put(&key("x.a"), "u", 0, b"data"));
    for _ in 0..2 {
        fixture.done(Operation::DeleteFile(key("x.a")));
        assert!(upload(fixture, "u").is_none() && chunks(fixture, &key("x.a")).is_empty());
    }
}

fn files_of_an_agent_are_listed_the_newest_first(fixture: &Fixture) {
    for (id, later) in [("1.a", 0), ("2.a", 10), ("3.a", 20)] {
        assert!(begin_at(fixture, &key(id), id, seconds_later(later)).is_ok());
    }
    let list = |agent: &str| match fixture.ask(Operation::Files(FileList::OfAgent(agent.into()))) {
        Ok(Answer::Files(files)) => files.into_iter().map(|file| file.key.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!((list("a"), list("b")), (vec!["3.a".into(), "2.a".into(), "1.a".into()], vec![]));
}

fn uploads_that_nobody_brought_to_their_end_are_ended_after_a_day(fixture: &Fixture) {
    const DAY: u64 = 24 * 60 * 60;
    for upload_id in ["old", "whole", "young"] {
        let at = if upload_id == "young" { seconds_later(100) } else { NOW };
        assert!(begin_at(fixture, &key(upload_id), upload_id, at).is_ok());
        fixture.done(put(&key(upload_id), upload_id, 0, b"data"));
    }
    fixture.done(end(&key("whole"), "whole", FileStatus::Ready));
    // an operator's
    let for_agents = FileKey { area: FileArea::ToHost("endpoint".into()), id: "f".into() };
    begin(fixture, &for_agents, "operator-s");
    fixture.done(put(&for_agents, "operator-s", 0, b"data"));
    assert_eq!(fixture.clean_up(seconds_later(DAY)), 0);
    assert_eq!(fixture.clean_up(seconds_later(DAY + 50)), 2);
    let status = |upload_id: &str| upload(fixture, upload_id).unwrap().status;
    assert_eq!(
        (status("old"), status("whole"), status("young")),
        (FileStatus::Failed, FileStatus::Ready, FileStatus::Awaiting)
    );
    let left = ["old", "whole", "young"].map(|id| chunks(fixture, &key(id)).len());
    assert_eq!(left, [0, 1, 1]);
    assert!(chunks(fixture, &for_agents).is_empty());
}

fn a_chunk_of_a_file_that_takes_none_is_refused(fixture: &Fixture) {
    assert_eq!(fixture.error(put(&key("x.a"), "u", 0, b"data")), StoreError::NotFound);
    begin(fixture, &key("x.a"), "u");
    assert_eq!(fixture.error(put(&key("x.a"), "older", 0, b"data")), StoreError::NotFound);
    fixture.done(end(&key("x.a"), "u", FileStatus::Ready));
    assert_eq!(fixture.error(put(&key("x.a"), "u", 0, b"data")), StoreError::NotFound);
}

fn uploads_go_after_their_time(fixture: &Fixture) {
    let kept = RETENTION.uploads.as_secs();
    begin(fixture, &key("x.a"), "u");
    fixture.done(put(&key("x.a"), "u", 0, b"data"));
    fixture.done(end(&key("x.a"), "u", FileStatus::Ready));
    let stays = FileKey { area: FileArea::ToHost("endpoint".into()), id: "f".into() };
    begin(fixture, &stays, "v");
    fixture.done(end(&stays, "v", FileStatus::Ready));
    assert_eq!(fixture.clean_up(seconds_later(kept - 1)), 0);
    assert_eq!(fixture.clean_up(seconds_later(kept)), 1);
    assert!(upload(fixture, "u").is_none() && chunks(fixture, &key("x.a")).is_empty());
    assert!(find(fixture, FileQuery::Key(stays)).is_some());
}
