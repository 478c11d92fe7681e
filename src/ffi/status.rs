//! Statuses as numbers, and what makes a call fail.
use crate::error::Error;

/// What became of a call: `RSQ_OK` (0) or why it failed. An integer, so that a later version's statuses stay legal;
/// numbers are never reused. `rsq_status_name` has the names, `rsq_last_error` the message.
pub type rsq_status = i32;

/// The call did what it says. Every other status: no output was written, and handles stay usable.
pub const RSQ_OK: rsq_status = 0;
/// A pointer is NULL that must not be.
pub const RSQ_NULL_ARGUMENT: rsq_status = 1;
/// An argument has a value that is never legal.
pub const RSQ_INVALID_ARGUMENT: rsq_status = 2;
/// A handle was freed, is of another type, or never was one.
pub const RSQ_INVALID_HANDLE: rsq_status = 3;
/// A struct's `struct_size` is not that of any version, or a larger option struct's unknown tail is not zero.
pub const RSQ_BAD_STRUCT_SIZE: rsq_status = 4;
/// An allocation was refused.
pub const RSQ_OUT_OF_MEMORY: rsq_status = 5;
/// Reading or writing a file failed.
pub const RSQ_IO: rsq_status = 6;
/// Bytes are not what their format says.
pub const RSQ_PARSE: rsq_status = 7;
/// A graph is not well formed.
pub const RSQ_GRAPH: rsq_status = 8;
/// An operator, attribute or setting that is not supported.
pub const RSQ_UNSUPPORTED: rsq_status = 9;
/// A tensor's shape is not the one expected.
pub const RSQ_SHAPE_MISMATCH: rsq_status = 10;
/// A tensor's element type is not the one expected.
pub const RSQ_DTYPE_MISMATCH: rsq_status = 11;
/// A NaN or an infinity where numbers are needed.
pub const RSQ_NOT_FINITE: rsq_status = 12;
/// Convert before calibrate, or a tensor that no batch has reached.
pub const RSQ_NOT_CALIBRATED: rsq_status = 13;
/// A recipe or a calibration state that belongs to another model or another qconfig.
pub const RSQ_MISMATCH: rsq_status = 14;
/// Truncated or damaged bytes.
pub const RSQ_CORRUPT: rsq_status = 15;
/// A file written by an incompatible version.
pub const RSQ_VERSION: rsq_status = 16;
/// The instruction set asked for is not there.
pub const RSQ_UNSUPPORTED_ISA: rsq_status = 17;
/// An exclusive handle is in use by another call.
pub const RSQ_BUSY: rsq_status = 18;
/// A callback asked to stop.
pub const RSQ_CANCELLED: rsq_status = 19;
/// A callback failed.
pub const RSQ_CALLBACK: rsq_status = 20;
/// A defect of this library, caught at its boundary. The process is sound; please report the message.
pub const RSQ_PANIC: rsq_status = 21;
/// The call does not fit the object's state.
pub const RSQ_WRONG_STATE: rsq_status = 22;
/// Nothing has that name or index.
pub const RSQ_NOT_FOUND: rsq_status = 23;

/// Names by number, with the NUL that C needs.
const NAMES: [&core::ffi::CStr; 24] = [
    c"OK",
    c"NULL_ARGUMENT",
    c"INVALID_ARGUMENT",
    c"INVALID_HANDLE",
    c"BAD_STRUCT_SIZE",
    c"OUT_OF_MEMORY",
    c"IO",
    c"PARSE",
    c"GRAPH",
    c"UNSUPPORTED",
    c"SHAPE_MISMATCH",
    c"DTYPE_MISMATCH",
    c"NOT_FINITE",
    c"NOT_CALIBRATED",
    c"MISMATCH",
    c"CORRUPT",
    c"VERSION",
    c"UNSUPPORTED_ISA",
    c"BUSY",
    c"CANCELLED",
    c"CALLBACK",
    c"PANIC",
    c"WRONG_STATE",
    c"NOT_FOUND",
];

/// The status' name without its prefix, `UNKNOWN` for a number that has none.
pub(super) fn name(status: rsq_status) -> &'static core::ffi::CStr {
    usize::try_from(status).ok().and_then(|index| NAMES.get(index)).copied().unwrap_or(c"UNKNOWN")
}

/// Why a call failed: its status and this thread's next message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    pub status: rsq_status,
    pub message: String,
}

/// What the inside of a call gives.
pub(super) type Outcome<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(status: rsq_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// A NULL where a pointer is needed.
    pub fn null(what: &str) -> Self {
        Self::new(RSQ_NULL_ARGUMENT, format!("{what} is NULL"))
    }

    /// A value that is never legal.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(RSQ_INVALID_ARGUMENT, message)
    }
}

/// The status of an error of the core.
fn status_of(error: &Error) -> rsq_status {
    match error {
        Error::InvalidArgument(_) => RSQ_INVALID_ARGUMENT,
        Error::OutOfMemory { .. } | Error::MemoryLimit { .. } => RSQ_OUT_OF_MEMORY,
        Error::Io { .. } => RSQ_IO,
        Error::Parse(_) => RSQ_PARSE,
        Error::Graph(_) => RSQ_GRAPH,
        Error::Unsupported(_) => RSQ_UNSUPPORTED,
        Error::ShapeMismatch(_) => RSQ_SHAPE_MISMATCH,
        Error::DTypeMismatch(_) => RSQ_DTYPE_MISMATCH,
        Error::NotFinite(_) => RSQ_NOT_FINITE,
        Error::NotCalibrated(_) => RSQ_NOT_CALIBRATED,
        Error::Mismatch(_) => RSQ_MISMATCH,
        Error::Corrupt(_) => RSQ_CORRUPT,
        Error::Version(_) => RSQ_VERSION,
        Error::UnsupportedIsa(_) => RSQ_UNSUPPORTED_ISA,
        Error::Busy(_) => RSQ_BUSY,
        Error::Cancelled(_) => RSQ_CANCELLED,
        Error::Callback(_) => RSQ_CALLBACK,
        Error::Panic(_) => RSQ_PANIC,
        Error::WrongState(_) => RSQ_WRONG_STATE,
        Error::NotFound(_) => RSQ_NOT_FOUND,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { status: status_of(&error), message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_name_and_other_numbers_have_none() {
        assert_eq!(name(RSQ_OK), c"OK");
        assert_eq!(name(RSQ_BAD_STRUCT_SIZE), c"BAD_STRUCT_SIZE");
        assert_eq!(name(RSQ_NOT_FOUND), c"NOT_FOUND");
        for unknown in [-1, 24, i32::MIN, i32::MAX] {
            assert_eq!(name(unknown), c"UNKNOWN");
        }
    }

    #[test]
    fn errors_keep_their_kind_and_message() {
        let text = || "x".to_owned();
        let cases = [
            (Error::InvalidArgument(text()), "INVALID_ARGUMENT"),
            (Error::OutOfMemory { what: text(), bytes: 1 }, "OUT_OF_MEMORY"),
            (Error::Io { path: text(), message: text() }, "IO"),
            (Error::Parse(text()), "PARSE"),
            (Error::Graph(text()), "GRAPH"),
            (Error::Unsupported(text()), "UNSUPPORTED"),
            (Error::ShapeMismatch(text()), "SHAPE_MISMATCH"),
            (Error::DTypeMismatch(text()), "DTYPE_MISMATCH"),
            (Error::NotFinite(text()), "NOT_FINITE"),
            (Error::NotCalibrated(text()), "NOT_CALIBRATED"),
            (Error::Mismatch(text()), "MISMATCH"),
            (Error::Corrupt(text()), "CORRUPT"),
            (Error::Version(text()), "VERSION"),
            (Error::UnsupportedIsa(text()), "UNSUPPORTED_ISA"),
            (Error::Busy(text()), "BUSY"),
            (Error::Cancelled(text()), "CANCELLED"),
            (Error::Callback(text()), "CALLBACK"),
            (Error::Panic(text()), "PANIC"),
            (Error::WrongState(text()), "WRONG_STATE"),
            (Error::NotFound(text()), "NOT_FOUND"),
        ];
        for (error, expected) in cases {
            let message = error.to_string();
            let failure = Failure::from(error);
            assert_eq!(name(failure.status).to_str().unwrap(), expected);
            assert_eq!(failure.message, message);
        }
    }
}
