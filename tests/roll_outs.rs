//! Runs that learn from rewards of sampled completions.

use std::fs;
use std::path::Path;
use std::time::Duration;

use pollster::block_on;
use streambp::model::{ModelSpec, Weights};
use streambp::step::{BatchShape, GrpoLossType, GrpoSettings, Limits, Objective, Plan, Program, Strategy};
use streambp::train::{
    Dataset, RecallTask, ReferenceModel, RewardKind, RewardSettings, RollOutSettings, Settings, SortTask, Task, Trainer, load_snapshot,
};

use crate::command_line::{directory, kill_after, run, small_config, small_model};
use crate::support::{Random, device, level, model};
use crate::training::small;

const PROMPT: u32 = 20;
const COMPLETION: u32 = 10;

fn task() -> Dataset {
    Dataset::task_prompts(Task::Sort(SortTask { distance: 4 }), PROMPT).unwrap()
}

fn reward(kind: RewardKind) -> RollOutSettings {
    RollOutSettings { rewards: vec![RewardSettings { kind, weight: 1.0 }], ..RollOutSettings::default() }
}

fn settings(grpo: GrpoSettings, roll_outs: RollOutSettings) -> Settings {
    let grpo =
        GrpoSettings { max_completion_length: COMPLETION, num_generations: 4, has_old_log_probs: roll_outs.num_iterations > 1, ..grpo };
    Settings {
        seq_len: PROMPT + COMPLETION,
        batch: 4,
        accumulate: 2,
        steps: 100,
        warmup: 1,
        weight_decay: 0.0,
        objective: Objective::Grpo(grpo),
        roll_outs: Some(roll_outs),
        strategy: Strategy::stream(64, 64),
        ..Settings::default()
    }
}

fn trainer(settings: &Settings, weights: &Weights) -> Trainer {
    block_on(model::trainer(&device::gpu(), &(&small_config()).into(), settings.clone(), task(), weights)).unwrap()
}

fn steps(trainer: &mut Trainer, count: u32) -> Weights {
    (0..count).for_each(|_| assert!(block_on(trainer.step()).unwrap().loss.is_finite()));
    block_on(trainer.weights()).unwrap()
}

#[test]
fn every_strategy_learns_the_same_bits() {
    let weights = Weights::init(&small_config(), 3);
    let ways = [
        (GrpoSettings::default(), reward(RewardKind::Length(6))),
        (
            GrpoSettings { loss_type: GrpoLossType::Grpo, temperature: 0.8, ..GrpoSettings::default() },
            RollOutSettings {
                num_iterations: 2,
                mask_truncated_completions: true,
                top_k: 200,
                top_p: 0.9,
                sft_steps: 1,
                ..reward(RewardKind::Length(6))
            },
        ),
    ];
    for (grpo, roll_outs) in ways {
        let mut found = Vec::new();
        for strategy in [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::stream(64, 64)] {
            let settings = Settings { strategy, ..settings(grpo, roll_outs.clone()) };
            let mut trainer = trainer(&settings, &weights);
            assert_eq!(trainer.executor().created_bytes(), trainer.executor().plan().peak_bytes(), "{strategy:?}");
            found.push(steps(&mut trainer, 3));
            let metrics = trainer.of_samples().unwrap();
            assert!(metrics.rewards.reward_std > 0.0 && metrics.completions.mean_length > 0.0, "{metrics:?}");
        }
        assert!(found[0] != weights);
        assert!(found.iter().all(|weights| *weights == found[0]), "other bits");
    }
}

/// A run goes on from any of its snapshots, also between two steps on the same completions.
#[test]
fn a_restored_run_ends_in_the_same_bits() {
    let weights = Weights::init(&small_config(), 3);
    let roll_outs = RollOutSettings { num_iterations: 3, ..reward(RewardKind::Length(6)) };
    let settings = settings(GrpoSettings::default(), roll_outs);
    let mut whole = trainer(&settings, &weights);
    let mut snapshots = Vec::new();
    for _ in 0..5 {
        snapshots.push(block_on(whole.snapshot()).unwrap());
        steps(&mut whole, 1);
    }
    assert_eq!(snapshots.iter().map(|snapshot| snapshot.round.is_some()).collect::<Vec<bool>>(), [false, true, true, false, true]);
    let wanted = block_on(whole.weights()).unwrap();
    for snapshot in snapshots {
        let read = streambp::train::Snapshot::from_bytes("", &snapshot.to_bytes()).unwrap();
        assert!(read == snapshot);
        let mut resumed = trainer(&settings, &Weights::init(&small_config(), 9));
        block_on(resumed.restore(&read)).unwrap();
        assert!(steps(&mut resumed, 5 - snapshot.step as u32) == wanted, "from step {}", snapshot.step);
    }
}

/// If every completion is worth the same, there is nothing to learn but to stay near the reference.
#[test]
fn with_a_constant_reward_nothing_moves_but_the_divergence() {
    let own = Weights::init(&small_config(), 3);
    let constant = || reward(RewardKind::Regex(String::new()));
    let mut unmoved = trainer(&settings(GrpoSettings::default(), constant()), &own);
    assert!(steps(&mut unmoved, 3) == own);
    assert_eq!(unmoved.of_samples().unwrap().rewards.frac_reward_zero_std, 1.0);

    // Answers lead away from where the model was, and the divergence leads back.
    let fast = |settings: Settings| Settings { learning_rate: 3e-3, min_learning_rate: 3e-3, ..settings };
    let away = RollOutSettings { sft_steps: 15, ..constant() };
    let far = steps(&mut trainer(&fast(settings(GrpoSettings::default(), away)), &own), 15);
    let settings = fast(settings(GrpoSettings { beta: 1.0, ..GrpoSettings::default() }, constant()));
    let mut back = trainer(&settings, &far);
    let shape = BatchShape::uniform(settings.batch, PROMPT + COMPLETION);
    let spec = ModelSpec::from(&small_config());
    back.set_reference(block_on(ReferenceModel::new(&device::gpu(), settings.objective, &spec, &own, &shape)).unwrap());
    let mut divergences = Vec::new();
    for _ in 0..20 {
        steps(&mut back, 1);
        divergences.push(back.of_samples().unwrap().loss.kl.unwrap());
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&divergences[15..]) < 0.5 * mean(&divergences[..5]), "{divergences:?}");
}

/// After a few steps on answers, which teach little, rewards alone teach the rest.
#[test]
fn a_task_is_learned_from_rewards() {
    let config = small(64, 2);
    let dataset = Dataset::task_prompts(Task::Recall(RecallTask::default()), 24).unwrap();
    let roll_outs = RollOutSettings { sft_steps: 30, sft_learning_rate: Some(3e-3), ..reward(RewardKind::Answer) };
    let grpo = GrpoSettings { num_generations: 8, max_completion_length: 2, ..GrpoSettings::default() };
    let settings = Settings {
        seq_len: 26,
        batch: 64,
        steps: 330,
        warmup: 10,
        learning_rate: 1e-3,
        min_learning_rate: 1e-3,
        objective: Objective::Grpo(grpo),
        roll_outs: Some(roll_outs),
        strategy: Strategy::stream(64, 64),
        ..Settings::default()
    };
    let weights = Weights::init(&config, 0);
    let mut trainer = block_on(model::trainer(&device::gpu(), &(&config).into(), settings.clone(), dataset, &weights)).unwrap();
    let mut success = Vec::new();
    while success.last().is_none_or(|&share| share <= 0.8) && trainer.steps_done() < settings.steps {
        steps(&mut trainer, 30);
        success.push(block_on(trainer.validate()).unwrap().accuracy.unwrap());
    }
    assert!(success[0] < 0.4 && success[success.len() - 1] > 0.8, "{success:?}");
}

/// A step has the memory of its plan, roll-out included, for every strategy and family.
#[test]
fn the_memory_of_roll_outs_is_planned() {
    let grpo =
        GrpoSettings { num_generations: 5, max_completion_length: 70, beta: 0.1, has_old_log_probs: true, ..GrpoSettings::default() };
    for config in model::families() {
        for strategy in [Strategy::STANDARD, Strategy::CHECKPOINT, Strategy::stream(64, 64).with_adaptive_chunks(true)] {
            let program = Program::train_for(Objective::Grpo(grpo), &config, BatchShape::uniform(5, 200), strategy);
            let plan = Plan::new(program, Limits::NONE).unwrap();
            let created = block_on(streambp::gpu::DeviceMemory::new(&device::gpu(), &plan)).unwrap().created_bytes();
            assert_eq!(created, plan.peak_bytes(), "{strategy:?} {config:?}");
        }
    }
}

/// The step of a checkpoint; 0 if there is none.
fn step_of(checkpoint: &Path) -> u64 {
    load_snapshot(checkpoint).map_or(0, |snapshot| snapshot.step)
}

fn arguments<'a>(model: &'a Path, out: &'a Path) -> Vec<&'a str> {
    let (model, out) = (model.to_str().unwrap(), out.to_str().unwrap());
    let run = ["train", "--model", model, "--objective", "grpo", "--data", "sort", "--distance", "4", "--seq-len", "30"];
    let more = ["--max-completion-length", "10", "--num-generations", "4", "--num-iterations", "2", "--rewards", "length:6", "answer"];
    [&run[..], &more, &["--steps", "24", "--checkpoint-every", "1", "--out", out, "--json"]].concat()
}

/// Killed again and again, at any moment, within roll-outs, steps and saves.
#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let here = directory("roll_outs");
    let model = small_model(&here);
    let (whole, killed) = (here.join("whole"), here.join("killed"));
    assert!(run(&arguments(&model, &whole)).status.success());
    let mut random = Random::new(5);
    let checkpoint = killed.join("checkpoint.safetensors");
    for number in 0..if level::is_exhaustive() { 10 } else { 3 } {
        let before = step_of(&checkpoint);
        let resume: &[&str] = if before > 0 { &["--resume"] } else { &[] };
        let has_saved = || step_of(&checkpoint) != before;
        let delay = Duration::from_millis(random.below(200).into());
        kill_after(&[&arguments(&model, &killed)[..], resume].concat(), has_saved, "no step was saved", delay);
        assert!(step_of(&checkpoint) > before, "kill {number}");
    }
    let resumed = run(&[&arguments(&model, &killed)[..], &["--resume"]].concat());
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let weights = |directory: &Path| fs::read(directory.join("model.safetensors")).unwrap();
    assert!(weights(&whole) == weights(&killed), "the weights differ");
}
