//! Arguments, configuration, build the parts, run, exit code.

use std::io::Write;
use std::process::ExitCode;

use fleet_server::operator::{self, arguments::Arguments, configuration};
use fleet_server::serve;

fn main() -> ExitCode {
    match operator::parse(std::env::args_os()) {
        Err(code) => code,
        Ok(Arguments { command: Some(command), options, .. }) => operator::run(command, &options),
        Ok(arguments) => serve_until_stopped(&arguments),
    }
}

fn serve_until_stopped(arguments: &Arguments) -> ExitCode {
    let arguments = configuration::of_server(arguments);
    let result = configuration::load(&arguments).map_err(|errors| errors.to_string()).and_then(|loaded| {
        let read = Box::new(|| configuration::load(&arguments));
        serve::serve(&loaded, read).map_err(|error| error.to_string())
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // there is nobody to tell that nobody listens
            let _ = writeln!(std::io::stderr(), "fleet-server: {error}");
            ExitCode::FAILURE
        }
    }
}
