//! Arguments, configuration, build the parts, run, exit code.

use std::io::Write;
use std::process::ExitCode;

use fleet_server::operator::{self, arguments::Arguments, configuration};
use fleet_server::serve;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match operator::parse(std::env::args_os()) {
        Err(code) => code,
        Ok(Arguments { command: Some(command), options, .. }) => operator::run(command, &options),
        Ok(arguments) if arguments.agent_mode => exit_code(serve_an_agent(&arguments)),
        Ok(arguments) => exit_code(serve_until_stopped(&arguments)),
    }
}

fn serve_until_stopped(arguments: &Arguments) -> Result<(), String> {
    let arguments = configuration::of_server(arguments);
    let read = Box::new(|| configuration::load(&arguments));
    let loaded = read().map_err(|errors| errors.to_string())?;
    serve::serve(&loaded, read).map_err(|error| error.to_string())
}

#[cfg(feature = "agent-mode")]
fn serve_an_agent(arguments: &Arguments) -> Result<(), String> {
    use fleet_server::agent_mode::{self, StartUp};
    let startup = StartUp::read(std::io::stdin().lock()).map_err(|error| error.to_string())?;
    let control = agent_mode::start(startup)
        .map_err(|error| format!("the thread that talks to the Elastic Agent cannot be started: {error}"))?;
    let arguments = configuration::of_server(arguments);
    serve::serve_under_agent(control, &|sent| configuration::load_sent(&arguments, sent))
        .map_err(|error| error.to_string())
}

#[cfg(not(feature = "agent-mode"))]
fn serve_an_agent(_: &Arguments) -> Result<(), String> {
    Err("this program was built without --agent-mode".to_owned())
}

fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // there is nobody to tell that nobody listens
            let _ = writeln!(std::io::stderr(), "fleet-server: {error}");
            ExitCode::FAILURE
        }
    }
}
