//! What can be wrong with a file that is sent or fetched (http-api.md, "Errors"): rows of the table in `error`.

use std::borrow::Cow;

/// What is wrong with a file, or with what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// An upload begins without a word.
    BodyRequired,
    /// An upload begins without saying who sends it.
    AgentIdMissing,
    /// An upload begins without this field.
    FieldRequired(&'static str),
    /// An upload begins without a size.
    SizeRequired,
    /// The size is zero or less.
    InvalidSize,
    /// The size is more than may be.
    TooLarge,
    /// Uploads are switched off.
    Disabled,
    /// No upload has this id.
    UnknownUpload,
    /// The upload began more than a day ago.
    Expired,
    /// The upload takes no more chunks.
    Stopped,
    /// The upload has no chunk of this number.
    InvalidChunkNumber,
    /// The chunk is not what its hash says.
    HashMismatch,
    /// An upload ends without a hash.
    TransitHashRequired,
    /// The upload is over.
    Closed,
    /// An upload ends before its chunks are there.
    MissingChunks,
    /// The chunks are not what was announced.
    FailedValidation,
    /// There is no such file for this agent.
    NoFile,
    /// There is no such file in the library.
    NotInLibrary,
    /// The client may not have files of libraries.
    ClientForbidden,
    /// The file has no such range.
    RangeNotSatisfiable,
    /// Several ranges at once.
    SeveralRanges,
}

impl FileError {
    /// Status, name and message.
    pub fn row(self) -> (u16, &'static str, Cow<'static, str>) {
        let (status, name, message) = match self {
            Self::FieldRequired(field) => {
                return (400, "ErrFieldRequired", format!("{field} is required").into());
            }
            Self::BodyRequired => (400, "ErrFileInfoBodyRequired", "what is said of the file is required"),
            Self::AgentIdMissing => (400, "ErrAgentIDMissing", "agent_id is required"),
            Self::SizeRequired => (400, "ErrFileSizeRequired", "file.size is required"),
            Self::InvalidSize => (400, "ErrInvalidFileSize", "file.size must be more than zero"),
            Self::TooLarge => (400, "ErrFileSizeTooLarge", "the file exceeds the maximum allowed size"),
            Self::Disabled => (403, "ErrFileFeatureDisable", "uploads are switched off"),
            Self::UnknownUpload => (400, "ErrInvalidFileID", "ErrInvalidID"),
            Self::Expired => (400, "ErrUploadExpired", "the upload has expired"),
            Self::Stopped => (400, "ErrUploadStopped", "the upload takes no more chunks"),
            Self::InvalidChunkNumber => (400, "ErrInvalidChunkNum", "the file has no chunk of this number"),
            Self::HashMismatch => (400, "ErrHashMismatch", "the chunk does not have the hash that was sent"),
            Self::TransitHashRequired => (400, "TransitHashRequired", "transithash.sha256 is required"),
            Self::Closed => (400, "ErrStatusNoUploads", "the upload is over"),
            Self::MissingChunks => (400, "ErrMissingChunks", "chunks are missing"),
            Self::FailedValidation => (400, "ErrFailValidation", "the chunks are not what was announced"),
            Self::NoFile => (404, "ErrNoFile", "file not found"),
            Self::NotInLibrary => (404, "ErrFileForDeliveryNotFound", "file not found"),
            Self::ClientForbidden => (403, "ErrClientFileForbidden", "client forbidden"),
            Self::RangeNotSatisfiable => (416, "ErrRangeNotSatisfiable", "range not satisfiable"),
            Self::SeveralRanges => (416, "ErrRangeNotSatisfiable", "Multipart ranges not satisfiable"),
        };
        (status, name, message.into())
    }
}
