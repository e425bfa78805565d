//! `agent diagnostics ID --output FILE`: orders a bundle of diagnostics, waits until the agent has sent it, checks it and
//! saves it.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::agent::PATH;
use super::client::Client;
use super::failure::Failure;
use super::output::Output;
use super::target::encoded;
use super::value::{take_items, text};
use crate::model::file::{hex, sha256, transit_hash};
use crate::reactor::end_at_the_second;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Has the agent send a bundle and saves it as `file`, waiting for at most `wait_max`.
pub(super) fn run<W: Write>(
    id: &str,
    file: &Path,
    wait_max: Duration,
    client: &Client,
    output: &mut Output<W>,
) -> Result<(), Failure> {
    let stopped = catch_signals()?;
    // before anything is ordered: a place where nothing can be written is told at once
    let part = Part::make(file)?;
    let answer = client.post(&format!("{PATH}/{}/request_diagnostics", encoded(id)), &json!({}))?;
    let action_id = text(&answer, "/actionId");
    let progress = progress(output.is_json());
    progress.set_message("waiting for the agent");
    let upload = wait(id, &action_id, wait_max, client, &progress, &stopped)?;
    progress.set_length(upload["size"].as_u64().unwrap_or_default());
    progress.set_message("receiving");
    let sha256 = part.receive(&upload, client, &progress, &stopped)?;
    part.keep(file)?;
    progress.finish_and_clear();
    let saved = json!({ "actionId": action_id, "file": file, "size": upload["size"], "sha256": sha256 });
    output.say(&saved, &file.display().to_string())
}

/// The upload of the action, once it is whole.
fn wait(
    id: &str,
    action_id: &str,
    wait_max: Duration,
    client: &Client,
    progress: &ProgressBar,
    stopped: &AtomicBool,
) -> Result<Value, Failure> {
    let (_sender, never) = mpsc::channel::<()>();
    let mut looks = wait_max.as_millis() / LOOK_EVERY.as_millis();
    loop {
        go_on(stopped)?;
        let files = take_items(client.get(&format!("{PATH}/{}/uploads", encoded(id)))?);
        match files.into_iter().find(|file| file["actionId"] == *action_id) {
            Some(file) if file["status"] == "READY" => return Ok(file),
            Some(file) if file["status"] == "UPLOAD_ERROR" => {
                return Err(Failure::Diagnostics(format!(
                    "the upload of agent {id} for action {action_id} failed"
                )));
            }
            Some(_) => progress.set_message("the agent is sending"),
            None => refused(id, action_id, client)?,
        }
        if looks == 0 {
            let seconds = wait_max.as_secs();
            let told = format!("agent {id} has not sent the file of action {action_id} within {seconds} s");
            return Err(Failure::Diagnostics(told));
        }
        looks -= 1;
        progress.tick();
        // nobody sends: a wait that ends by itself
        let _ = never.recv_timeout(LOOK_EVERY);
    }
}

/// A flag that the first SIGTERM or SIGINT sets, so that what was begun is removed; a second one ends the process at once.
fn catch_signals() -> Result<Arc<AtomicBool>, Failure> {
    let failed = |error| Failure::Diagnostics(format!("signals cannot be caught: {error}"));
    end_at_the_second().map_err(failed)?;
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register(signal, Arc::clone(&stopped)).map_err(failed)?;
    }
    Ok(stopped)
}

fn go_on(stopped: &AtomicBool) -> Result<(), Failure> {
    match stopped.load(Ordering::Relaxed) {
        true => Err(Failure::Diagnostics("ended by a signal; the agent may send its file yet".to_owned())),
        false => Ok(()),
    }
}

/// An agent that answered with an error sends nothing.
fn refused(id: &str, action_id: &str, client: &Client) -> Result<(), Failure> {
    let status = client.get(&format!("{PATH}/action_status?perPage=1000"))?;
    let actions = take_items(status);
    let action = actions.iter().find(|action| action["actionId"] == *action_id);
    let errors = action.and_then(|action| action["latestErrors"].as_array());
    match errors.and_then(|errors| errors.iter().find(|error| error["agentId"] == *id)) {
        Some(error) => Err(Failure::Diagnostics(format!("agent {id} answered: {}", text(error, "/error")))),
        None => Ok(()),
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(is_json: bool) -> ProgressBar {
    if is_json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {bar:30} {bytes}/{total_bytes}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The file under another name until it is whole; removed if it never is.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn make(file: &Path) -> Result<Self, Failure> {
        if file.is_dir() {
            let source = io::ErrorKind::IsADirectory.into();
            return Err(Failure::File { file: file.to_owned(), source });
        }
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = file.with_file_name(name);
        // it holds configurations: for the owner, like the data directory
        let made = File::options().write(true).create_new(true).mode(0o600).open(&path);
        made.map(|file| Part { path: path.clone(), file })
            .map_err(|source| Failure::File { file: path, source })
    }

    /// Writes the content of an upload and checks it against what its agent said; its SHA-256.
    fn receive(
        &self,
        upload: &Value,
        client: &Client,
        progress: &ProgressBar,
        stopped: &AtomicBool,
    ) -> Result<String, Failure> {
        let target =
            format!("{PATH}/files/{}/{}", encoded(&text(upload, "/id")), encoded(&text(upload, "/name")));
        let mut check = Check::new(upload["chunkSize"].as_u64().unwrap_or(u64::MAX));
        let mut file = &self.file;
        client.download(&target, &self.path, |bytes| {
            progress.inc(bytes.len() as u64);
            check.add(bytes);
            if stopped.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            file.write_all(bytes)
        })?;
        check.finish(upload)
    }

    fn keep(&self, file: &Path) -> Result<(), Failure> {
        let kept = self.file.sync_all().and_then(|()| std::fs::rename(&self.path, file));
        kept.map_err(|source| Failure::File { file: file.to_owned(), source })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // once it is kept there is nothing of that name
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The hashes of a file that goes by.
struct Check {
    all: Sha256,
    chunk: Vec<u8>,
    chunk_bytes: u64,
    hashes: Vec<String>,
}

impl Check {
    fn new(chunk_bytes: u64) -> Self {
        Check { all: Sha256::new(), chunk: Vec::new(), chunk_bytes, hashes: Vec::new() }
    }

    fn add(&mut self, mut bytes: &[u8]) {
        self.all.update(bytes);
        while !bytes.is_empty() {
            let room = usize::try_from(self.chunk_bytes).unwrap_or(usize::MAX) - self.chunk.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if now.len() == room {
                self.end_chunk();
            }
        }
    }

    fn end_chunk(&mut self) {
        self.hashes.push(hex(&sha256(&self.chunk)));
        self.chunk.clear();
    }

    /// The SHA-256 of all, if it is what the agent said.
    fn finish(mut self, upload: &Value) -> Result<String, Failure> {
        if !self.chunk.is_empty() {
            self.end_chunk();
        }
        let whole = hex(&self.all.finalize());
        let transit = transit_hash(self.hashes.iter().map(String::as_str)).map(|hash| hex(&hash));
        let said = |name: &str| upload[name].as_str().map(str::to_lowercase);
        let fits = said("sha256").is_none_or(|said| said == whole)
            && said("transitSha256").is_none_or(|said| Some(said) == transit);
        if fits {
            Ok(whole)
        } else {
            Err(Failure::Diagnostics("the file does not have the hash that its agent sent".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(upload: &Value) -> Result<String, Failure> {
        let mut check = Check::new(4);
        for bytes in [&b"ab"[..], b"cdefg", b"hi"] {
            check.add(bytes);
        }
        check.finish(upload)
    }

    #[test]
    fn a_file_is_held_against_both_hashes() {
        let whole = hex(&sha256(b"abcdefghi"));
        let parts = [&b"abcd"[..], b"efgh", b"i"].map(|part| hex(&sha256(part)));
        let transit = hex(&transit_hash(parts.iter().map(String::as_str)).unwrap());
        assert_eq!(
            checked(&json!({ "sha256": whole, "transitSha256": transit.to_uppercase() })).unwrap(),
            whole
        );
        assert_eq!(checked(&json!({})).unwrap(), whole);
        assert!(checked(&json!({ "sha256": transit })).is_err());
        assert!(checked(&json!({ "transitSha256": whole })).is_err());
    }

    #[test]
    fn a_file_that_is_not_kept_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        drop(Part::make(&directory.path().join("f")).unwrap());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let kept = Part::make(&directory.path().join("f")).unwrap();
        kept.keep(&directory.path().join("f")).unwrap();
        drop(kept);
        assert!(directory.path().join("f").exists());
        assert!(Part::make(&directory.path().join("no/such/folder")).is_err());
        let before = std::fs::read_dir(directory.path()).unwrap().count();
        std::fs::create_dir(directory.path().join("g")).unwrap();
        assert!(Part::make(&directory.path().join("g")).is_err(), "a folder");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), before + 1);
    }
}
