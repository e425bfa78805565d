//! The configuration while the server runs: read again at SIGHUP and when its files have changed, or sent by an agent; compared
//! with what is in force, and put in its place as far as that can be done. Nobody is sent away by it. One that cannot be used
//! changes nothing.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Read, bounds, is_alone, own_certificates, tls};
use crate::config::{ClientTls, Config, Difference, Loaded, Origin, Store as StoreChoice, Tls};
use crate::log::{LogHandle, Output};
use crate::reactor::tls::Certificates;
use crate::reactor::tls::own::{OwnCertificates, OwnError};
use crate::reactor::{Hooks, ReactorError, Reload};
use crate::store::{Elastic, ElasticError};
use crate::time::Now;
use crate::tls::{Stamps, TlsError};

/// What the process does beside serving.
pub(super) struct Process<'a> {
    read: Read<'a>,
    in_force: Config,
    /// What was read last, and how it looked then.
    files: Vec<PathBuf>,
    stamps: Stamps,
    own: Option<OwnCertificates>,
    elastic: Option<Arc<Elastic>>,
    log: Arc<LogHandle>,
}

/// What came of a configuration that takes the place of another.
pub(super) enum Taken {
    /// It says nothing else.
    Same,
    /// It is in force once the loop has taken it over.
    InPlace(Reload),
    /// It needs another start, for these keys: nothing is changed.
    AtStart(Vec<&'static str>),
    /// It cannot be used: nothing is changed.
    Unusable(Unusable),
}

/// Why a configuration that is well written cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("inputs.0.server.ssl: {0}")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Own(#[from] OwnError),
    #[error(transparent)]
    Elasticsearch(#[from] ElasticError),
    #[error("logging: {0}")]
    Log(#[from] io::Error),
    #[error(transparent)]
    Listening(#[from] ReactorError),
}

impl<'a> Process<'a> {
    pub(super) fn new(
        loaded: &Loaded,
        read: Read<'a>,
        own: Option<OwnCertificates>,
        elastic: Option<Arc<Elastic>>,
        log: Arc<LogHandle>,
    ) -> Self {
        let files = loaded.files.clone();
        Process { read, in_force: loaded.config.clone(), stamps: stamps(&files), files, own, elastic, log }
    }

    fn read_again(&mut self, now: Now) -> Option<Reload> {
        // taken before reading: a file that changes meanwhile is read again
        self.stamps = stamps(&self.files);
        let loaded = match (self.read)() {
            Ok(loaded) => loaded,
            Err(errors) => {
                self.watch_too(&errors.files);
                for error in &errors.errors {
                    ::log::error!("the configuration stays as it is: {error}");
                }
                return None;
            }
        };
        warn(&loaded);
        self.remember_files(&loaded);
        let difference = Difference::between(&self.in_force, &loaded.config);
        if let Some(file) = emptied(&loaded)
            && !(difference.in_place.is_empty() && difference.at_start.is_empty())
        {
            ::log::error!("the configuration stays as it is: {} is empty", file.display());
            return None;
        }
        for key in &difference.at_start {
            ::log::warn!("{key} was changed: that takes effect with the next start");
        }
        if difference.in_place.is_empty() {
            ::log::info!("the configuration was read again: nothing else is in force by it");
            return None;
        }
        match self.put_in_force(&difference, is_alone(&loaded), now) {
            Ok(reload) => {
                ::log::info!(
                    "the configuration was read again; in force: {}",
                    difference.in_place.join(", ")
                );
                Some(reload)
            }
            Err(unusable) => {
                self.watch_too(&files(&difference.config));
                ::log::error!("the configuration stays as it is: {unusable}");
                None
            }
        }
    }

    /// Takes over what was sent, whole or not at all; from then on it is `read` by which it is read again.
    pub(super) fn take_over(&mut self, loaded: &Loaded, read: Read<'a>, now: Now) -> Taken {
        let difference = Difference::between(&self.in_force, &loaded.config);
        if !difference.at_start.is_empty() {
            // who serves is not ended for what could not serve
            return match self.check(&loaded.config) {
                Ok(()) => Taken::AtStart(difference.at_start),
                Err(unusable) => Taken::Unusable(unusable),
            };
        }
        warn(loaded);
        if difference.in_place.is_empty() {
            self.read = read;
            self.remember_files(loaded);
            return Taken::Same;
        }
        match self.put_in_force(&difference, is_alone(loaded), now) {
            Ok(reload) => {
                ::log::info!("another configuration is in force: {}", difference.in_place.join(", "));
                self.read = read;
                self.remember_files(loaded);
                Taken::InPlace(reload)
            }
            Err(unusable) => Taken::Unusable(unusable),
        }
    }

    /// Whether a server could be made of this, as far as that can be found out while another one serves.
    fn check(&self, config: &Config) -> Result<(), Unusable> {
        usable_tls(config, self.own.as_ref().filter(|_| config.server.own_certificate))?;
        if let StoreChoice::Elasticsearch(settings) = &config.store {
            Elastic::check(settings)?;
        }
        let ports = |config: &Config| [config.server.port, config.server.internal_port];
        let ours = ports(&self.in_force);
        // where we listen ourselves it is free once we do not
        for address in super::addresses(config).filter(|address| !ours.contains(&address.port)) {
            address.check_free()?;
        }
        Ok(())
    }

    /// What new connections are encrypted by.
    pub(super) fn certificate(&self) -> Option<Tls> {
        tls(&self.in_force, self.own.as_ref())
    }

    /// The configuration in force.
    pub(super) fn in_force(&self) -> &Config {
        &self.in_force
    }

    /// Who renames the log's file says so by SIGHUP, and is given a new one of its name.
    fn reopen_log(&mut self) {
        let mut logging = self.in_force.logging.clone();
        if logging.to_stderr || !logging.to_files {
            return;
        }
        logging.files.rotate_on_startup = false;
        match Output::open(&logging, false, false) {
            Ok(output) => self.log.switch_to(output),
            Err(error) => ::log::error!("the log's file could not be opened again: {error}"),
        }
    }

    fn remember_files(&mut self, loaded: &Loaded) {
        if loaded.files != self.files {
            self.files.clone_from(&loaded.files);
            self.stamps = stamps(&self.files);
        }
    }

    /// What a configuration that cannot be used needs may come later than it.
    fn watch_too(&mut self, files: &[PathBuf]) {
        let before = self.files.len();
        for file in files {
            if !self.files.contains(file) {
                self.files.push(file.clone());
            }
        }
        if self.files.len() > before {
            self.stamps = stamps(&self.files);
        }
    }

    /// Everything that can fail comes first.
    fn put_in_force(&mut self, difference: &Difference, alone: bool, now: Now) -> Result<Reload, Unusable> {
        let config = &difference.config;
        let own = own_certificates_anew(config, &self.in_force, self.own.clone(), now)?;
        let tls = usable_tls(config, own.as_ref())?;
        let output = if config.logging == self.in_force.logging {
            None
        } else {
            Some(Output::open(&config.logging, io::stderr().is_terminal(), alone)?)
        };
        if let (Some(elastic), StoreChoice::Elasticsearch(settings)) = (&self.elastic, &config.store)
            && config.store != self.in_force.store
        {
            elastic.configure(settings)?;
        }
        if let Some(elastic) = &self.elastic {
            elastic.follow_at(config.monitor.policy_debounce_time, config.monitor.poll_timeout);
            elastic.keep_expired_actions(config.server.gc.cleanup_after_expired);
        }
        if let Some(output) = output {
            crate::log::set_level(config.logging.level);
            self.log.switch_to(output);
        }
        self.own = own;
        self.in_force = config.clone();
        Ok(Reload { config: Arc::new(config.clone()), bounds: bounds(config), tls })
    }
}

/// Says what is to be said of a configuration. Policies carry keys that are not for us: that is nothing to warn of.
pub(super) fn warn(loaded: &Loaded) {
    for warning in &loaded.warnings {
        let level = if warning.origin == Origin::Agent { ::log::Level::Debug } else { ::log::Level::Warn };
        ::log::log!(level, "{warning}");
    }
}

/// The files that a configuration names and that are read when it is put in force.
pub(super) fn files(config: &Config) -> Vec<PathBuf> {
    let of_server = config.server.tls.iter().flat_map(Tls::files);
    let output = match &config.store {
        StoreChoice::Elasticsearch(settings) => settings.tls.as_ref(),
        StoreChoice::Embedded(_) => None,
    };
    of_server.chain(output.into_iter().flat_map(ClientTls::files)).map(PathBuf::from).collect()
}

/// A file without a byte is one that is being written, or that a full disk has left: not what an operator wants in force.
fn emptied(loaded: &Loaded) -> Option<&PathBuf> {
    let is_empty = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|found| found.len() == 0);
    loaded.source.as_ref().filter(|file| is_empty(file))
}

/// Our own certificate, made when it is first wanted.
fn own_certificates_anew(
    config: &Config,
    in_force: &Config,
    own: Option<OwnCertificates>,
    now: Now,
) -> Result<Option<OwnCertificates>, Unusable> {
    if config.server.own_certificate == in_force.server.own_certificate {
        return Ok(own);
    }
    Ok(own_certificates(config, now)?)
}

/// What new connections are to be encrypted by, once it has proved to be readable.
fn usable_tls(config: &Config, own: Option<&OwnCertificates>) -> Result<Option<Tls>, Unusable> {
    let tls = tls(config, own);
    if let Some(tls) = &tls {
        Certificates::read(tls.clone())?;
    }
    Ok(tls)
}

fn stamps(files: &[PathBuf]) -> Stamps {
    Stamps::take(files.iter().map(PathBuf::as_path))
}

impl Hooks for Process<'_> {
    fn reload(&mut self, now: Now) -> Option<Reload> {
        let log_before = self.in_force.logging.clone();
        let reload = self.read_again(now);
        if self.in_force.logging == log_before {
            self.reopen_log();
        }
        reload
    }

    fn look_at_files(&mut self, now: Now) -> Option<Reload> {
        if stamps(&self.files) == self.stamps { None } else { self.read_again(now) }
    }

    fn hourly(&mut self, now: Now) {
        if self.own.is_none() {
            return;
        }
        match own_certificates(&self.in_force, now) {
            Ok(own) => self.own = own,
            Err(error) => ::log::error!("our own certificate could not be renewed: {error}"),
        }
    }
}
