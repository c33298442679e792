//! Errors that a user can cause or fix. Each message says what to do next.

/// An error that the user can do something about.
///
/// Programming errors, such as mismatched shapes, panic instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No adapter was found.
    #[error("no GPU adapter was found{}; install a Vulkan, Metal or DirectX 12 driver (on Linux without a GPU, Mesa's software driver: the package mesa-vulkan-drivers), then run `streambp devices`", matching(.wanted.as_deref()))]
    NoAdapter {
        /// The requested part of an adapter's name, if any.
        wanted: Option<String>,
    },
    /// The browser does not support WebGPU, or has it disabled.
    #[error(
        "this browser offers no WebGPU; use Chrome or Edge 127 or later, Firefox 141 or later (older versions: set dom.webgpu.enabled to true in about:config), or Safari 26 or later, and switch hardware acceleration on in its settings"
    )]
    NoWebGpu,
    /// The browser supports WebGPU, but has no adapter for it.
    #[error(
        "this browser has WebGPU, but no GPU for it: switch hardware acceleration on in its settings and update the graphics driver; chrome://gpu (in Firefox about:support) says what is missing"
    )]
    NoBrowserAdapter,
    /// The adapter refused to create a device.
    #[error("the adapter {adapter} refused a device ({reason}); choose another adapter, or update its driver")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// The driver's or the browser's message.
        reason: String,
    },
    /// A limit of the adapter is below what base WebGPU guarantees.
    #[error("the adapter {adapter} has {limit} = {found}, and {needed} are needed; choose another adapter")]
    AdapterLimit {
        /// The adapter's name.
        adapter: String,
        /// The WebGPU name of the limit.
        limit: &'static str,
        /// The adapter's value.
        found: u64,
        /// The required value.
        needed: u64,
    },
    /// A tensor exceeds the largest binding.
    #[error(
        "the tensor {tensor} takes {bytes} bytes, and this adapter binds at most {limit} at once; use a shorter sequence{advice}, or a smaller vocabulary or model"
    )]
    BindingTooLarge {
        /// The tensor's name.
        tensor: String,
        /// Its size in bytes.
        bytes: u64,
        /// The adapter's limit in bytes: `max_storage_buffer_binding_size`, or the largest buffer if that is smaller.
        limit: u64,
        /// Further advice, as an item of a list.
        advice: &'static str,
    },
    /// The plan exceeds the budget.
    #[error("the step needs {needed} bytes, {} more than the {budget} there are; {suggestion}", .needed - .budget)]
    OverBudget {
        /// The plan's peak in bytes.
        needed: u64,
        /// The budget in bytes.
        budget: u64,
        /// A suggestion that fits.
        suggestion: String,
    },
    /// The device could not allocate the plan's memory.
    #[error("the device has no room for the step's {needed} bytes (it failed at {buffer}); {suggestion}")]
    OutOfMemory {
        /// The plan's peak in bytes.
        needed: u64,
        /// The label of the buffer that could not be allocated.
        buffer: String,
        /// A suggestion.
        suggestion: String,
    },
    /// The host could not allocate memory for offloaded tensors.
    #[error("the host cannot allocate the {needed} bytes for offloaded layer inputs; use a shorter sequence, or do not offload them")]
    OutOfHostMemory {
        /// The plan's bytes in host memory.
        needed: u64,
    },
    /// A driver would end a loop before its last iteration, so a sum would be wrong.
    #[error("on {adapter} a loop of {operation} would end before its last iteration, and give wrong numbers; {advice}, or take a GPU")]
    LoopTooLong {
        /// The adapter's name.
        adapter: String,
        /// The operation.
        operation: &'static str,
        /// What to change.
        advice: String,
    },
    /// The device was lost.
    #[error("the GPU device was lost ({reason}); a checkpoint that was saved is safe: resume from it, or start again")]
    DeviceLost {
        /// The driver's or the browser's message.
        reason: String,
    },
    /// The device reported a validation error or another uncaptured error.
    #[error("the GPU device reported an error: {0}")]
    Device(String),
    /// A `config.json` is invalid or not supported.
    #[error("config.json: {field} {problem}")]
    Config {
        /// The field.
        field: String,
        /// Its problem, and what is supported.
        problem: String,
    },
    /// An `adapter_config.json` is invalid or not supported.
    #[error("adapter_config.json: {field} {problem}")]
    Adapter {
        /// The field.
        field: String,
        /// Its problem, and what is supported.
        problem: String,
    },
    /// A file of a model is missing, damaged, or belongs to another model.
    #[error("{file}: {problem}")]
    Weights {
        /// The file's name.
        file: String,
        /// The problem, with the tensor's name.
        problem: String,
    },
    /// Data that cannot be trained on.
    #[error("{0}")]
    Data(String),
    /// A checkpoint is damaged, or belongs to another run.
    #[error("the checkpoint {path} {problem}")]
    Checkpoint {
        /// Its path.
        path: String,
        /// The problem, and what to do.
        problem: String,
    },
    /// The loss or the gradient is not finite.
    #[error("step {step}: the {what} is not finite, so nothing was updated; try a smaller learning rate or stronger clipping")]
    NonFinite {
        /// The step, counted from 1.
        step: u64,
        /// `loss` or `gradient`.
        what: &'static str,
    },
    /// The caller asked to stop.
    #[error("stopped before the end, as was asked")]
    Stopped,
    /// An invalid setting.
    #[error("{0}")]
    Setting(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The path of the file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
}

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn config(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Config { field: field.into(), problem: problem.into() }
    }

    pub(crate) fn adapter(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Adapter { field: field.into(), problem: problem.into() }
    }

    pub(crate) fn weights(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Weights { file: file.into(), problem: problem.into() }
    }

    /// An error of the system, with the path.
    pub fn io(path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().display().to_string(), source }
    }
}

/// The first characters of a text, for an error message.
pub(crate) fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn matching(wanted: Option<&str>) -> String {
    wanted.map_or(String::new(), |name| format!(" whose name contains \"{name}\""))
}
