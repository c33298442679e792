//! Every way that a run can fail through what a user did or has, in words that say what to do next.

/// A failure that the person at the keyboard can do something about.
///
/// Programming mistakes (shapes that do not fit one another, say) are not here: those panic.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing on this machine can run the shaders.
    #[error("no GPU adapter was found{}; install a Vulkan, Metal or DirectX 12 driver (on Linux without a GPU, Mesa's software driver: the package mesa-vulkan-drivers), then run `streambp devices`", matching(.wanted.as_deref()))]
    NoAdapter {
        /// The part of an adapter's name that was asked for, if one was.
        wanted: Option<String>,
    },
    /// The browser has no WebGPU, or has it switched off.
    #[error(
        "this browser offers no WebGPU; use Chrome or Edge 127 or later, Firefox 141 or later (older versions: set dom.webgpu.enabled to true in about:config), or Safari 26 or later, and switch hardware acceleration on in its settings"
    )]
    NoWebGpu,
    /// The adapter is there, but what a device needs was refused.
    #[error("the adapter {adapter} refused a device ({reason}); choose another adapter, or update its driver")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// The driver's or the browser's words.
        reason: String,
    },
    /// A limit below what base WebGPU guarantees.
    #[error("the adapter {adapter} has {limit} = {found}, and {needed} are needed; choose another adapter")]
    AdapterLimit {
        /// The adapter's name.
        adapter: String,
        /// WebGPU's name of the limit.
        limit: &'static str,
        /// What the adapter has.
        found: u64,
        /// What is needed.
        needed: u64,
    },
    /// One tensor does not fit into one binding.
    #[error(
        "the tensor {tensor} takes {bytes} bytes, and this adapter binds at most {limit} at once; use a shorter sequence{advice}, or a smaller vocabulary or model"
    )]
    BindingTooLarge {
        /// The tensor's name.
        tensor: String,
        /// Its size.
        bytes: u64,
        /// The adapter's `max_storage_buffer_binding_size`.
        limit: u64,
        /// What else would help, to stand in a list.
        advice: &'static str,
    },
    /// The plan does not fit the budget.
    #[error("the step needs {needed} bytes, {} more than the {budget} there are; {suggestion}", .needed - .budget)]
    OverBudget {
        /// The plan's peak.
        needed: u64,
        /// What it was held against.
        budget: u64,
        /// What would fit.
        suggestion: String,
    },
    /// The device would not give the memory that the plan asks for.
    #[error("the device has no room for the step's {needed} bytes (it failed at {buffer}); {suggestion}")]
    OutOfMemory {
        /// The plan's peak.
        needed: u64,
        /// The buffer that could not be had.
        buffer: String,
        /// What to try.
        suggestion: String,
    },
    /// The host has no memory for what is to wait there.
    #[error(
        "this program cannot have the {needed} bytes of memory in which the inputs of layers are to wait; use a shorter sequence, or do not offload them"
    )]
    OutOfHostMemory {
        /// The plan's bytes on the host.
        needed: u64,
    },
    /// The device went away.
    #[error("the GPU device was lost ({reason}); a checkpoint that was saved is safe: start again from it, or anew")]
    DeviceLost {
        /// The driver's or the browser's words.
        reason: String,
    },
    /// The device refused something that was thought to be valid.
    #[error("the GPU device reported an error: {0}")]
    Device(String),
    /// A `config.json` that asks for what is not supported.
    #[error("config.json: {field} {problem}")]
    Config {
        /// The field.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// An `adapter_config.json` that asks for what is not supported.
    #[error("adapter_config.json: {field} {problem}")]
    Adapter {
        /// The field.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A safetensors file that is broken or of another model.
    #[error("{file}: {problem}")]
    Weights {
        /// The file's name.
        file: String,
        /// What is wrong, with the tensor's name.
        problem: String,
    },
    /// A text that cannot be trained on.
    #[error("{0}")]
    Data(String),
    /// A checkpoint that does not belong to this run.
    #[error("the checkpoint {path} {problem}")]
    Checkpoint {
        /// Where it is.
        path: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The loss or the gradient is no number any more.
    #[error(
        "step {step}: the {what} is not finite, so nothing was updated and the last good state is kept; try a smaller learning rate or stronger clipping"
    )]
    NonFinite {
        /// The step, from 1.
        step: u64,
        /// `loss` or `gradient`.
        what: &'static str,
    },
    /// A setting that makes no sense.
    #[error("{0}")]
    Setting(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
}

/// The crate's result.
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

    /// A failure of the system, with the file's name.
    pub fn io(path: impl AsRef<std::path::Path>, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().display().to_string(), source }
    }
}

fn matching(wanted: Option<&str>) -> String {
    wanted.map_or(String::new(), |name| format!(" whose name contains \"{name}\""))
}
