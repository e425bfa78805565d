//! What a server answers with.

use serde_json::Value;

use crate::response::Response;

/// The JSON of a 200; anything else is an error that says what the server said.
pub(crate) fn read(response: &Response) -> Result<Value, String> {
    let text = response.text()?;
    if response.status != 200 {
        return Err(format!("{}: {}", response.status, String::from_utf8_lossy(&text)));
    }
    serde_json::from_slice(&text).map_err(|error| format!("unreadable answer: {error}"))
}
