//! Training runs: datasets, the trainer, its schedule, checkpoints, planning, tuning, generation, evaluation, and verification of exactness.

mod accuracy;
mod attention;
mod batch_file;
#[cfg(not(target_arch = "wasm32"))]
mod checkpoint;
mod chunk_length;
mod dataset;
mod documents;
mod draw;
mod error_by_operation;
mod evaluate;
mod frontier;
mod generate;
mod objectives;
mod pairs;
mod pipeline;
mod planner;
mod prompts;
mod report;
mod rewards;
mod roll_outs;
mod roofline;
mod round;
pub mod run_file;
mod sample_batches;
mod schedule;
mod search;
mod self_check;
mod settings;
mod snapshot;
mod stand_ins;
mod stream;
mod summary;
mod tasks;
mod trainer;
mod tune;
mod verify;

pub use accuracy::{AccuracyAtDistance, Answer};
pub use attention::AttentionPattern;
pub use batch_file::{SampledBatch, read_batch, read_pairs, read_samples};
#[cfg(not(target_arch = "wasm32"))]
pub use checkpoint::{load_snapshot, resume_run, save_run, tensors_to_file};
pub use chunk_length::{AutoChunk, ChunkBound, ChunkLength, auto_chunk, auto_chunk_needs_speed};
pub use dataset::{Dataset, HeldOut};
pub use error_by_operation::{ALL_OPERATIONS, GradientError, OperationError, errors_by_operation};
pub use evaluate::{Evaluation, EvaluationData, LossAtPositions};
pub use frontier::{FrontierPoint, frontier};
pub use generate::{Decoding, Generator, Sampled, Sampling};
pub use objectives::{
    AdaptersOff, CompletionMetrics, DpoMetrics, FunctionMetrics, GrpoMetrics, HeldOutPairs, ReferenceModel, RewardMetrics, SampleMetrics,
    ScaleRewards, ScoredSequence, TokenScore, advantages, reference_log_probs, sequence_log_probs, sequence_metrics, with_reference,
};
pub use pipeline::{Network, RankCost, predict_ranks, shapes_of_ranks};
pub use planner::{Suggestion, fastest_strategy, longest, longest_sequence, plan_within, suggestion};
pub use prompts::{Decode, Drawn, Prompts};
pub use report::device_report;
pub use rewards::{Group, RewardKind, RewardSettings, Rewards};
pub use roll_outs::RollOutSettings;
pub use roofline::{Profile, RooflineRow, matmul_gflops, roofline};
pub use round::{Completion, Round, RoundProgress, Watch};
pub use schedule::learning_rate;
pub use self_check::{SelfCheck, adapter_key, rounding_checksum};
pub use settings::Settings;
pub use snapshot::{RunId, Snapshot};
pub use stand_ins::batch_of_objective;
pub use summary::Summary;
pub use tasks::{CopyTask, Language, PreferencesTask, RecallTask, SortTask, StoriesTask, SumTask, Task};
pub use trainer::{StepReport, Trainer, Validation};
pub use tune::{tune, tuning_key};
pub use verify::{ParameterReport, RunReport, VerifyReport, errors_in_f64, verify, verify_on_ranks};
