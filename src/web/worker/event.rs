//! What wakes the worker.

use web_sys::Blob;

use crate::web::protocol::ToWorker;

/// What wakes the worker.
pub enum Event {
    /// A message of the page's, and the files beside it.
    Message(ToWorker, Vec<Blob>),
    /// It is time for the next stride of slow motion.
    Tick,
    /// The device went away while nothing was asked of it.
    Lost,
    /// It is time to open a device again, after so many attempts.
    OpenAgain(u32),
    /// It is time to see whether other tabs have ended their runs.
    ListAgain,
}
