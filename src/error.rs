//! The one error type of the crate. Each variant is one status of the C API; its message names the thing
//! (file, node, tensor, index) that was refused.

/// Why a call failed. The variant says what kind of failure it is, the text which thing caused it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument has a value that is never legal.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// An allocation was refused by the system.
    #[error("out of memory: {what} needs {bytes} bytes")]
    OutOfMemory {
        /// What the memory was for.
        what: String,
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// An allocation would go over the memory limit of its context.
    #[error("out of memory: {what} needs {bytes} bytes, and {in_use} of the limit of {limit} are in use")]
    MemoryLimit {
        /// What the memory was for.
        what: String,
        /// How many bytes were asked for.
        bytes: usize,
        /// How many were in use.
        in_use: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Reading or writing a file failed.
    #[error("{path}: {message}")]
    Io {
        /// The file's path.
        path: String,
        /// What the system said.
        message: String,
    },
    /// The bytes are not what the format says.
    #[error("cannot parse: {0}")]
    Parse(String),
    /// The graph is not well formed.
    #[error("graph: {0}")]
    Graph(String),
    /// An operator, attribute or setting that is not supported.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// A tensor's shape is not the one expected.
    #[error("shape mismatch: {0}")]
    ShapeMismatch(String),
    /// A tensor's element type is not the one expected.
    #[error("dtype mismatch: {0}")]
    DTypeMismatch(String),
    /// A NaN or an infinity where numbers are needed.
    #[error("not finite: {0}")]
    NotFinite(String),
    /// Convert before calibrate, or a tensor that no batch has reached.
    #[error("not calibrated: {0}")]
    NotCalibrated(String),
    /// A recipe or a calibration state that belongs to another model or another qconfig.
    #[error("mismatch: {0}")]
    Mismatch(String),
    /// Truncated or damaged bytes (a checksum, a length).
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// A file written by an incompatible version.
    #[error("version: {0}")]
    Version(String),
    /// The instruction set asked for is not there.
    #[error("unsupported isa: {0}")]
    UnsupportedIsa(String),
    /// The handle is in use by another call.
    #[error("busy: {0}")]
    Busy(String),
    /// A callback asked to stop.
    #[error("cancelled: {0}")]
    Cancelled(String),
    /// A callback failed.
    #[error("callback failed: {0}")]
    Callback(String),
    /// A defect of this library, caught at its boundary.
    #[error("internal error: {0}")]
    Panic(String),
    /// The call does not fit the object's state.
    #[error("wrong state: {0}")]
    WrongState(String),
    /// Nothing has that name or index.
    #[error("not found: {0}")]
    NotFound(String),
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether memory was refused, by the system or by a limit.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Error::OutOfMemory { .. } | Error::MemoryLimit { .. })
    }

    /// An [`Error::Io`] from a path and what the system said.
    pub fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Error::Io { path: path.display().to_string(), message: error.to_string() }
    }

    /// The same error, where it tells of what a file holds with the file's path in front.
    pub fn in_file(self, path: &std::path::Path) -> Self {
        let named = |text: String| format!("{}: {text}", path.display());
        match self {
            Error::Parse(text) => Error::Parse(named(text)),
            Error::Graph(text) => Error::Graph(named(text)),
            Error::Unsupported(text) => Error::Unsupported(named(text)),
            Error::ShapeMismatch(text) => Error::ShapeMismatch(named(text)),
            Error::DTypeMismatch(text) => Error::DTypeMismatch(named(text)),
            Error::NotFinite(text) => Error::NotFinite(named(text)),
            Error::Corrupt(text) => Error::Corrupt(named(text)),
            Error::Version(text) => Error::Version(named(text)),
            other => other,
        }
    }
}
