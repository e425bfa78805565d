//! What goes wrong below: one operation's own failure, or trouble that concerns everyone.

use rusqlite::{Error, ErrorCode};

use crate::store::documents::unreadable;
use crate::store::{Answer, StoreError};

/// Why an operation did not come to its end.
#[derive(Debug)]
pub(super) enum Fault {
    /// Its own failure: the others of its batch go on.
    Own(StoreError),
    /// The disk or the database: nothing of the transaction can be kept.
    Trouble(Error),
}

/// What an operation comes to.
pub(super) type Outcome = Result<Answer, Fault>;

impl Fault {
    /// Whether the file is not what it was.
    pub(super) fn is_damage(&self) -> bool {
        let Fault::Trouble(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        if concerns_everyone(&error) {
            return Fault::Trouble(error);
        }
        Fault::Own(StoreError::Failed { status: 500, reason: error.to_string() })
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Own(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Fault::Own(unreadable(&error))
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Own(error) => error,
            Fault::Trouble(error) => unavailable(&error),
        }
    }
}

/// The answer to everyone whose operation met `error`.
pub(super) fn unavailable(error: &Error) -> StoreError {
    StoreError::Unavailable(format!("the embedded store failed: {error}"))
}

/// The answer to an operation that was sent to a lane which does not run it.
pub(super) fn misplaced() -> StoreError {
    StoreError::Failed { status: 500, reason: "the operation belongs to another lane".to_owned() }
}

fn concerns_everyone(error: &Error) -> bool {
    use ErrorCode::{ApiMisuse, ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch};
    match error.sqlite_error_code() {
        Some(ConstraintViolation | TooBig | TypeMismatch | ParameterOutOfRange | ApiMisuse) | None => false,
        Some(_) => true,
    }
}
