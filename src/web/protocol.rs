//! What page and worker say to one another: one JSON text for each message.

use serde::{Deserialize, Serialize};

use crate::train::{Settings, StepReport, Validation};

/// What the page wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Make a new run, and go.
    Begin(Box<Run>, Go),
    /// Go on with the run.
    Continue(Go),
    /// Stop behind the step that is running.
    Pause,
    /// Forget the run and give its memory back.
    Reset,
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Go {
    /// Until told otherwise.
    On,
    /// One step.
    Once,
}

/// Everything that makes a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The name of the model's preset.
    pub preset: String,
    /// How it is trained.
    pub settings: Settings,
    /// What it is trained on.
    pub data: Data,
    /// Steps between validations; 0 for none.
    pub validate_every: u64,
    /// Steps between samples; 0 for none.
    pub sample_every: u64,
    /// What samples begin with.
    pub prompt: String,
}

/// Something to learn from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Data {
    /// This project's own source code.
    OwnSource,
    /// The recall task.
    Recall,
    /// A text of the visitor's.
    Text(String),
}

/// What the worker reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// There is a device.
    Ready(Device),
    /// The run's buffers exist.
    Began {
        /// What the plan said.
        planned_bytes: u64,
        /// What the device's own objects add up to.
        created_bytes: u64,
    },
    /// A step is done.
    Stepped(StepReport),
    /// How the model does on what it never saw.
    Validated(u64, Validation),
    /// What the model writes after a step.
    Sampled(u64, String),
    /// The run stands still.
    Paused,
    /// The run is forgotten.
    WasReset,
    /// Something went wrong.
    Failed {
        /// What, in a sentence.
        message: String,
        /// Can the run go on?
        run_survives: bool,
    },
}

/// What the page has to know of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The adapter's name.
    pub name: String,
    /// Bytes that one buffer may have.
    pub max_buffer: u64,
    /// Bytes that one binding may have.
    pub max_binding: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_arrives_as_it_was_sent() {
        let run = Run {
            preset: "tiny".to_owned(),
            settings: Settings::default(),
            data: Data::Text("„Text“\n\u{2028}".to_owned()),
            validate_every: 10,
            sample_every: 0,
            prompt: "\"".to_owned(),
        };
        let message = ToWorker::Begin(Box::new(run), Go::Once);
        let sent = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<ToWorker>(&sent).unwrap(), message);
    }
}
