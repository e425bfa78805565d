//! Arguments, configuration, build the parts, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = fleet_server::config::Arguments {
        settings: std::env::args().skip(1).filter(|a| a.contains('=')).collect(),
        working_directory: std::env::current_dir().unwrap_or_default(),
        ..Default::default()
    };
    let load = || {
        fleet_server::config::load(&arguments, &|name| std::env::var(name).ok(), &|path| {
            std::fs::read_to_string(path)
        })
    };
    match load() {
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
        Ok(loaded) => match fleet_server::serve::serve(&loaded, &|| load().ok()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}
