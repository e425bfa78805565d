//! Programs of the tests in Go, around public modules. Built into the folder of the test program. Without Go the tests that need
//! them say so and pass, unless FLEET_TEST_GO is `required`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Says `required` where the tests must not be left out.
const VARIABLE: &str = "FLEET_TEST_GO";

/// Builds the program in a folder of the tree; none where that cannot be.
pub(crate) fn build_with_go(folder: &str) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(folder.replace('/', "-"));
    let mut command = Command::new("go");
    command.arg("build").arg("-mod=readonly").arg("-o").arg(&program).arg(".").current_dir(source);
    let reason = match command.output() {
        Ok(built) if built.status.success() => return Some(program),
        Ok(built) => String::from_utf8_lossy(&built.stderr).into_owned(),
        Err(error) => format!("go: {error}"),
    };
    let required = std::env::var(VARIABLE).is_ok_and(|value| value == "required");
    assert!(!required, "{VARIABLE} is required, and {folder} cannot be built: {reason}");
    eprintln!("LEFT OUT: the tests with {folder}, which cannot be built: {reason}");
    None
}
